// Feeds readers with changed files: node tests/fuzz/run.mjs --inputs 1000000 --seed 1
//
// Each input is a real small file (parity/golden) with a few changes, made from the seed and the input's number alone.
// A reader has to succeed or to throw a LowrankError, within 2 s of processor time and 300 MiB. What does not is a
// finding, which `--only NUMBER --files FOLDER` makes again and writes down. Exit code 1 with findings.
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { packageAlias } from '../../scripts/lib/packageAlias.mjs';
import { root } from '../../scripts/lib/paths.mjs';

const { values: given } = parseArgs({
  options: {
    inputs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    start: { type: 'string', default: '0' },
    seconds: { type: 'string' },
    only: { type: 'string' },
    files: { type: 'string' },
  },
});
const [inputs, seed, start] = [Number(given.inputs), Number(given.seed), Number(given.start)];
const only = given.only === undefined ? -1 : Number(given.only);
const deadline = given.seconds === undefined ? Infinity : Date.now() + Number(given.seconds) * 1000;

/** A worker takes so many inputs before a fresh one follows: its memory is that of few inputs. */
const inputsOfWorker = 20_000;
/**
 * An input that takes longer is given up: milliseconds of processor time where the platform tells, of the clock else.
 */
const longest = 20_000;

const folder = mkdtempSync(join(tmpdir(), 'lowrank-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
await build({
  configFile: false,
  logLevel: 'error',
  root,
  resolve: { alias: packageAlias('src') },
  ssr: { noExternal: true },
  build: {
    ssr: fileURLToPath(new URL('worker.ts', import.meta.url)),
    outDir: folder,
    emptyOutDir: false,
    target: 'node20',
    // A part of its own would wait for the worker, which waits for its inputs.
    rollupOptions: { output: { entryFileNames: 'worker.mjs', format: 'es', codeSplitting: false } },
  },
});

/** @type {{ index: number, target: string, what: string }[]} */
const findings = [];
const counts = { read: 0, refused: 0 };
let slowest = { milliseconds: 0, index: -1, target: '' };

/**
 * What a process has had of the processors so far; a machine that is busy with other things does not count.
 *
 * @param {number | undefined} pid
 * @returns {number | undefined}
 */
function processorTime(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}

/**
 * Runs inputs from `first` up to `end`; returns the first that is left.
 *
 * @param {number} first
 * @param {number} end
 * @returns {Promise<number>}
 */
function work(first, end) {
  const place = join(folder, 'progress');
  writeFileSync(place, Buffer.alloc(8));
  const arguments_ = [seed, first, end, only].map(String);
  const child = fork(join(folder, 'worker.mjs'), [...arguments_, place], {
    execArgv: ['--max-old-space-size=1024'],
    env: { ...process.env, LOWRANK_FUZZ_GOLDEN: join(root, 'parity/golden') },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const progress = openSync(place, 'r');
  let errors = '';
  child.stderr?.on('data', (chunk) => (errors = `${errors}${chunk}`.slice(-2000)));
  let at = first;
  const spent = () => processorTime(child.pid) ?? Date.now();
  let since = spent();
  let ending = '';
  const watch = setInterval(() => {
    const buffer = Buffer.alloc(8);
    readSync(progress, buffer, 0, 8, 0);
    const now = buffer.readDoubleLE();
    if (now !== at) [at, since] = [now, spent()];
    if (spent() - since > longest) ending = `no end within ${longest / 1000} s`;
    if (ending !== '' || Date.now() > deadline) child.kill('SIGKILL');
  }, 200);
  return new Promise((resolve) => {
    let done = false;
    child.on('message', (message) => {
      const said = /** @type {any} */ (message);
      if (said.found !== undefined) report(said.found);
      if (said.files !== undefined && given.files !== undefined) keep(said.files, given.files);
      if (said.counts === undefined) return;
      done = true;
      counts.read += said.counts.read;
      counts.refused += said.counts.refused;
      if (said.slowest.milliseconds > slowest.milliseconds) slowest = said.slowest;
    });
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      const buffer = Buffer.alloc(8);
      readSync(progress, buffer, 0, 8, 0);
      at = Math.max(first, buffer.readDoubleLE());
      if (done) return resolve(end);
      counts.refused += at - first;
      if (ending === '' && Date.now() > deadline) return resolve(at);
      report({ index: at, target: '', what: ending || `the process ended: ${signal ?? code} ${errors}` });
      resolve(at + 1);
    });
  });
}

/** @param {{ index: number, target: string, what: string }} finding */
function report(finding) {
  findings.push(finding);
  console.log(`input ${finding.index} (${finding.target}): ${finding.what.split('\n').slice(0, 6).join('\n')}`);
}

/**
 * @param {[string, string][]} files
 * @param {string} place
 */
function keep(files, place) {
  mkdirSync(place, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(place, name), Buffer.from(content, 'base64'));
}

const begin = Date.now();
const end = only >= 0 ? only + 1 : start + inputs;
let next = only >= 0 ? only : start;
let told = Date.now();
while (next < end && Date.now() < deadline && findings.length < 200) {
  next = await work(next, Math.min(end, next + inputsOfWorker));
  if (Date.now() - told < 60_000) continue;
  console.log(`${next - start} inputs, ${findings.length} findings`);
  told = Date.now();
}
const seconds = ((Date.now() - begin) / 1000).toFixed(0);
console.log(
  `${next - (only >= 0 ? only : start)} inputs of seed ${seed} in ${seconds} s: ${counts.read} read, ` +
    `${counts.refused} refused, ${findings.length} findings; the slowest took ` +
    `${slowest.milliseconds.toFixed(0)} ms (input ${slowest.index}, ${slowest.target})`,
);
process.exitCode = findings.length > 0 ? 1 : 0;
