// Disturbs the built command line while it saves: node tests/faults/run.mjs --kills 40 --seed 1
//
// Each command of commands.mjs writes over an older result of its own, and is killed or refused by the disk: at random
// moments (--kills), at each operation on files (--operations), with each limit on the length of a file (--limits), at
// each call of the system (--calls, wants strace), on small disks (--disks, wants root). Afterwards the output has to
// be the old result or the new one, for Lowrank and for others, the message true, and the next run has to succeed and
// to leave nothing beside its result. Exit code 1 with findings. Build first: npm run build.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { commands } from './commands.mjs';
import { atCalls, atOperations, calls, hasStrace, limits, randomKills, randomOf } from './plan.mjs';
import { Trials } from './trials.mjs';

/** @typedef {import('./trials.mjs').Fault} Fault */

const { values: given } = parseArgs({
  options: {
    commands: { type: 'string', default: Object.keys(commands).join(',') },
    kills: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    operations: { type: 'boolean', default: false },
    limits: { type: 'boolean', default: false },
    calls: { type: 'boolean', default: false },
    disks: { type: 'boolean', default: false },
    /** Of the faults of each kind only every so many-th. */
    every: { type: 'string', default: '1' },
    atOnce: { type: 'string', default: '2' },
  },
});
const random = randomOf(Number(given.seed));
const folder = mkdtempSync(join(tmpdir(), 'lowrank-faults-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

let findings = 0;
for (const name of given.commands.split(',')) {
  const place = join(folder, name);
  mkdirSync(place);
  const trials = await Trials.of(name, place);
  console.log(`${name}: ${trials.versions.new.operations.length} operations on files`);
  await disturb(trials, 'SIGKILL at random', randomKills(trials, Number(given.kills), random));
  if (given.operations)
    for (const kind of /** @type {const} */ (['kill', 'full', 'error']))
      await disturb(trials, `${kind} at each operation`, atOperations(trials, kind));
  if (given.limits) await disturb(trials, 'ulimit -f', limits(lengthsIn(join(place, 'new'))));
  if (given.calls && hasStrace()) await disturb(trials, 'strace', atCalls(callsOf(trials, place)));
  if (given.disks) await onDisks(trials, place);
}
console.log(`${findings} findings, seed ${given.seed}`);
process.exitCode = findings > 0 ? 1 : 0;

/**
 * @param {Trials} trials
 * @param {string} kind
 * @param {readonly Fault[]} all
 */
async function disturb(trials, kind, all) {
  const faults = all.filter((_, at) => at % Number(given.every) === 0);
  if (faults.length === 0) return;
  const begun = Date.now();
  /** @type {Record<string, number>} */
  const counts = {};
  let [next, found] = [0, 0];
  const work = async () => {
    for (let fault = faults[next++]; fault !== undefined; fault = faults[next++]) {
      const { own, plain, ended, findings: wrong } = await trials.run(fault);
      const ending = ended.signal === null ? `exit ${ended.code}` : ended.signal;
      const result = `${ending}, ${own === plain ? own : `${own} (others: ${plain})`}`;
      counts[result] = (counts[result] ?? 0) + 1;
      found += wrong.length;
      for (const finding of wrong) console.log(`FINDING ${trials.name}, ${fault.label}: ${finding.slice(0, 700)}`);
    }
  };
  await Promise.all(Array.from({ length: Number(given.atOnce) }, work));
  findings += found;
  const results = Object.entries(counts).map(([result, count]) => `${count} × ${result}`);
  const seconds = ((Date.now() - begun) / 1000).toFixed(0);
  console.log(`${trials.name} | ${kind} | ${faults.length} | ${results.join('; ')} | ${found} findings | ${seconds} s`);
}

/** The lengths of all files below a folder. @param {string} of @returns {number[]} */
function lengthsIn(of) {
  const names = readdirSync(of, { recursive: true }).map((name) => join(of, String(name)));
  return names.map((name) => statSync(name)).flatMap((found) => (found.isFile() ? [found.size] : []));
}

/**
 * The calls of the system that an undisturbed run makes below the folder of its output, files read and written by one
 * thread, as each thread counts them.
 *
 * @param {Trials} trials
 * @param {string} place
 * @returns {{ call: string, when: number }[]}
 */
function callsOf(trials, place) {
  const log = join(place, 'calls');
  const at = join(place, 'counted');
  execFileSync('cp', ['-r', join(place, 'old'), at]);
  const traced = ['-f', '-qq', '-y', '-o', log, '-e', `trace=${calls.join(',')}`, process.execPath];
  execFileSync('strace', [...traced, ...trials.argv('new', join(at, 'out'))], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    stdio: 'ignore',
  });
  /** @type {Map<string, number>} */
  const counts = new Map();
  return readFileSync(log, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, thread = '', call = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
      const key = `${thread} ${call}`;
      const when = (counts.get(key) ?? 0) + 1;
      counts.set(key, when);
      return line.includes(at) && call !== '' ? [{ call, when }] : [];
    });
}

/**
 * Small disks (tmpfs) with room for the old result and so many pages more.
 *
 * @param {Trials} trials
 * @param {string} place
 */
async function onDisks(trials, place) {
  const page = 4096;
  const old = lengthsIn(join(place, 'old')).map((length) => Math.ceil(length / page));
  const later = lengthsIn(join(place, 'new')).map((length) => Math.ceil(length / page));
  const sum = (/** @type {number[]} */ pages) => pages.reduce((all, count) => all + count, 0);
  /** @type {Fault[]} */
  const faults = [];
  for (let free = 0; free <= sum(later) + 2; free++) {
    const disk = join(place, `disk-${free}`);
    if (!existsSync(disk)) mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${(sum(old) + free) * page}`, 'tmpfs', disk]);
    faults.push({ label: `a disk with ${free} pages free`, place: disk });
  }
  try {
    await disturb(trials, 'small disks', faults);
  } finally {
    for (const { place: disk = '' } of faults) execFileSync('umount', [disk]);
  }
}
