// One command disturbed once, and what it left judged.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../../scripts/lib/paths.mjs';
import { commands, copy, evaluationRows, makeInputs } from './commands.mjs';

const cli = join(root, 'packages/lowrank/dist/cli.js');
const hook = pathToFileURL(join(root, 'tests/faults/hook.mjs')).href;

/**
 * How a command is disturbed.
 *
 * @typedef {object} Fault
 * @property {string} label
 * @property {'kill' | 'full' | 'error'} [operation] at the operation `at`, by the hook
 * @property {number} [at]
 * @property {number} [killAfter] milliseconds after the start, or with `fromWriting` after the first change of the
 * output's folder
 * @property {boolean} [fromWriting]
 * @property {number} [fileBytes] the largest file that it may write (RLIMIT_FSIZE)
 * @property {string[]} [strace] its options
 * @property {string} [place] a folder for the output, such as a small disk
 * @property {(output: string, results: { old: string, new: string }) => void} [spoil] in the place of the command
 */

/**
 * @typedef {object} Ended
 * @property {number | null} code
 * @property {string | null} signal
 * @property {string} stdout
 * @property {string} stderr
 * @property {number} milliseconds
 */

/** @typedef {'old' | 'new' | 'refused' | 'mixture'} View what a reader finds */
/** @typedef {string} Finding a view, or what the reader said */

/**
 * @typedef {object} Outcome
 * @property {View} plain what other programs find
 * @property {View} own what Lowrank finds
 * @property {Ended} ended
 * @property {string[]} findings what must not be
 */

/** What one command leaves, undisturbed and disturbed. */
export class Trials {
  /** @type {Map<string, Promise<string[]>>} by what was left: what the next run made of it */
  #next = new Map();
  /** @type {Map<string, Promise<Finding>>} */
  #own = new Map();
  #count = 0;

  /** @param {string} name @param {string} folder @param {Record<'old' | 'new', Version>} versions */
  constructor(name, folder, versions) {
    this.name = name;
    this.folder = folder;
    this.versions = versions;
    this.command = /** @type {import('./commands.mjs').Command} */ (commands[name]);
  }

  /** Runs a command undisturbed, in both versions. @param {string} name @param {string} folder */
  static async of(name, folder) {
    const inputs = join(folder, 'inputs');
    mkdirSync(inputs, { recursive: true });
    await makeInputs(inputs);
    const trials = new Trials(name, folder, /** @type {any} */ ({}));
    for (const version of /** @type {const} */ (['old', 'new'])) {
      const at = join(folder, version);
      mkdirSync(at);
      if (version === 'new') copy(join(folder, 'old'), at);
      const log = join(folder, `operations-${version}`);
      const environment = faultEnvironment({ under: at, mode: 'count', at: 0, log });
      const ended = await run([...hooked, ...trials.argv(version, join(at, 'out'))], environment);
      if (ended.code !== 0) throw new Error(`${name} itself fails: ${ended.stderr}`);
      const operations = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
      const files = filesIn(join(at, 'out'));
      trials.versions[version] = { files, operations, milliseconds: ended.milliseconds, loss: NaN };
      trials.versions[version].loss = await trials.#loss(join(at, 'out'));
    }
    const { old, new: later } = trials.versions;
    if (trials.command.kind !== 'file' && !(Math.abs(old.loss - later.loss) > 1e-3))
      throw new Error(`${name}: old and new must differ: ${old.loss}, ${later.loss}`);
    return trials;
  }

  /** @param {'old' | 'new'} version @param {string} output */
  argv(version, output) {
    const given = this.command.argv(version, output, join(this.folder, 'inputs'));
    return [cli, ...given, '--output', output, '--overwrite'];
  }

  /** Runs `new` over `old` with a fault. @param {Fault} fault @returns {Promise<Outcome>} */
  async run(fault) {
    const place = join(fault.place ?? this.folder, `trial-${this.#count++}`);
    mkdirSync(place);
    try {
      copy(join(this.folder, 'old'), place);
      const results = { old: join(this.folder, 'old/out'), new: join(this.folder, 'new/out') };
      fault.spoil?.(join(place, 'out'), results);
      const ended = fault.spoil === undefined ? await this.#disturb(fault, place) : untouched;
      return await this.#judge(fault, place, ended);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }

  /** @param {Fault} fault @param {string} place */
  #disturb({ operation, at = 0, killAfter, fromWriting = false, fileBytes, strace }, place) {
    const output = join(place, 'out');
    const argv = this.argv('new', output);
    if (operation !== undefined)
      return run([...hooked, ...argv], faultEnvironment({ under: place, mode: operation, at, log: '' }));
    if (fileBytes !== undefined) return run(argv, {}, { before: ['prlimit', `--fsize=${fileBytes}`] });
    if (strace !== undefined)
      return run(argv, { UV_THREADPOOL_SIZE: '1' }, { before: ['strace', '-f', '-qq', '-o', '/dev/null', ...strace] });
    if (killAfter === undefined) return run(argv);
    return run(argv, {}, { killAfter, watched: fromWriting ? place : undefined });
  }

  /** @param {Fault} fault @param {string} place @param {Ended} ended @returns {Promise<Outcome>} */
  async #judge({ killAfter, operation, strace = [] }, place, ended) {
    const output = join(place, 'out');
    /** @type {string[]} */
    const findings = [];
    const files = filesIn(output);
    const plain = this.#plainView(files);
    const key = JSON.stringify([[...files].map(([name, hash]) => [anyName(name), this.#versionOf(name, hash)]), plain]);
    const own = await remembered(this.#own, key, () => this.#ownView(output));
    const kills = killAfter !== undefined || operation === 'kill' || strace.some((text) => text.includes('KILL'));
    if (plain === 'mixture') findings.push(`other programs read parts of two savings: ${key}`);
    if (!['old', 'new', 'refused'].includes(own)) findings.push(`lowrank: ${own}: ${key}`);
    if (own === 'refused' && plain !== 'refused') findings.push(`lowrank refuses what others read: ${key}`);
    for (const name of ['metrics.jsonl', 'run.json', 'report.html'])
      if (plain === 'new' && this.#versionOf(name, files.get(name) ?? '') === 'old')
        findings.push(`${name} is old, and the rest new: ${key}`);
    findings.push(...(kills ? [] : complaints(ended, own)));
    if (kills && ended.code !== null && ended.code !== 0) findings.push(`ended with ${ended.code}: ${ended.stderr}`);
    findings.push(...(await remembered(this.#next, key, () => this.#nextRun(output))));
    return { plain, own: /** @type {View} */ (own), ended, findings };
  }

  /** What programs find that look at the visible files. @param {Map<string, string>} files @returns {View} */
  #plainView(files) {
    const { kind } = this.command;
    const first = { adapter: 'adapter_config.json', model: 'config.json', file: '' }[kind];
    if (!files.has(first)) return 'refused';
    const seen = visible(files);
    for (const version of /** @type {const} */ (['old', 'new']))
      if (same(seen, visible(this.versions[version].files))) return version;
    return 'mixture';
  }

  /** What `lowrank eval` finds. @param {string} output @returns {Promise<Finding>} */
  async #ownView(output) {
    if (this.command.kind === 'file') return this.#plainView(filesIn(output));
    const ended = await this.#evaluate(output);
    if (ended.code === 2 && !/\n {4}at /.test(ended.stderr)) return 'refused';
    if (ended.code !== 0) return `eval ends with ${ended.code ?? ended.signal}: ${ended.stderr}`;
    const loss = lossOf(ended);
    const { old, new: later } = this.versions;
    const [version] = Object.entries({ old: old.loss, new: later.loss }).find(([, of]) => of === loss) ?? [];
    return version ?? `a loss of ${loss}, neither ${old.loss} nor ${later.loss}`;
  }

  /** @param {string} output */
  #evaluate(output) {
    const { kind, base } = this.command;
    const what = kind === 'model' ? ['--model', output] : ['--model', String(base), '--adapter', output];
    return run([cli, 'eval', ...what, '--data', evaluationRows, '--device', 'cpu', '--json']);
  }

  /** @param {string} output */
  async #loss(output) {
    return this.command.kind === 'file' ? NaN : lossOf(await this.#evaluate(output));
  }

  /** The same command again, undisturbed. @param {string} output @returns {Promise<string[]>} */
  async #nextRun(output) {
    const { code, signal, stderr } = await run(this.argv('new', output));
    if (code !== 0) return [`the next run ends with ${code ?? signal}: ${stderr}`];
    const [files, expected] = [filesIn(output), this.versions.new.files];
    const known = new Set([...expected.keys()].map(anyName));
    const left = [...files.keys()].filter((name) => !known.has(anyName(name)));
    if (left.length > 0) return [`the next run leaves ${left.join(', ')}`];
    if (files.size !== expected.size) return [`the next run leaves ${[...files.keys()].join(', ')}`];
    return same(visible(files), visible(expected)) ? [] : ['the next run saves something else'];
  }

  /** @param {string} name @param {string} hash */
  #versionOf(name, hash) {
    const [version] = Object.entries(this.versions).find(([, { files }]) => files.get(name) === hash) ?? [];
    return version ?? '?';
  }
}

/**
 * @typedef {object} Version
 * @property {Map<string, string>} files
 * @property {string[]} operations on files, in order
 * @property {number} milliseconds
 * @property {number} loss
 */

/** @type {Ended} */
const untouched = { code: 0, signal: null, stdout: '', stderr: '', milliseconds: 0 };
const hooked = ['--import', hook];

/** @param {object} fault */
function faultEnvironment(fault) {
  return { LOWRANK_FAULT: JSON.stringify(fault) };
}

/**
 * Whether a failure is said, in a sentence that is true.
 *
 * @param {Ended} ended
 * @param {string} own
 */
function complaints({ code, signal, stderr }, own) {
  const findings = [];
  const said = stderr.trimEnd().split('\n').at(-1) ?? '';
  if (code === 0 && own !== 'new') findings.push(`exit code 0, and the folder is ${own}`);
  if (code !== 0 && code !== 2) findings.push(`ended with ${code ?? signal}: ${stderr.slice(0, 600)}`);
  if (/\n {4}at /.test(stderr)) findings.push(`a stack: ${stderr.slice(0, 600)}`);
  if (code === 2 && own === 'new' && /untouched|[Nn]othing/.test(said)) findings.push(`it is new, and says: ${said}`);
  if (code === 2 && own === 'refused') findings.push(`the older result is gone: ${said}`);
  return findings;
}

/** @param {Ended} ended */
function lossOf({ stdout }) {
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return last === '' ? NaN : JSON.parse(last).loss;
}

/**
 * @param {string[]} argv
 * @param {Record<string, string>} [environment]
 * @param {{ before?: string[], killAfter?: number | undefined, watched?: string | undefined }} [how]
 * @returns {Promise<Ended>}
 */
function run(argv, environment = {}, { before = [], killAfter, watched } = {}) {
  const begun = performance.now();
  const [program = '', ...rest] = [...before, process.execPath, ...argv];
  const child = spawn(program, rest, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { stdout: '', stderr: '' };
  for (const name of /** @type {const} */ (['stdout', 'stderr']))
    child[name].on('data', (chunk) => (text[name] += chunk));
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const arm = () => (timer ??= setTimeout(() => child.kill('SIGKILL'), killAfter));
  const watcher = watched === undefined ? undefined : watch(watched, { recursive: true }, arm);
  if (killAfter !== undefined && watched === undefined) arm();
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      watcher?.close();
      resolve({ code, signal, ...text, milliseconds: performance.now() - begun });
    });
  });
}

/** Files and folders below a path, or a file by the name '', each with a hash. @param {string} path */
function filesIn(path) {
  /** @type {Map<string, string>} */
  const files = new Map();
  if (!existsSync(path)) return files;
  if (statSync(path).isFile()) {
    files.set('', hashOf(readFileSync(path)));
    const beside = readdirSync(join(path, '..')).filter((name) => name !== 'out');
    for (const name of beside) files.set(`../${name}`, 'beside');
    return files;
  }
  for (const name of readdirSync(path, { recursive: true }).map(String).sort()) {
    const at = join(path, name);
    const isFile = statSync(at).isFile();
    const content = isFile ? readFileSync(at) : Buffer.alloc(0);
    // How fast the run was differs from run to run, and what was freed by then.
    const measured = /"(tokens_per_second|memory_bytes)":[^,}]*/g;
    const stable = name.endsWith('.jsonl') ? content.toString().replace(measured, '') : content;
    files.set(name, isFile ? hashOf(stable) : 'folder');
  }
  return files;
}

/** @param {string | Buffer} content */
function hashOf(content) {
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

/** What tells of a run: times and speeds stand in it, so it is another with each run. */
const recordOfRun = /^(metrics\.jsonl|run\.json|report\.html|events\.out\.tfevents\..*)$/;

/** What other programs load. @param {Map<string, string>} files */
function visible(files) {
  return new Map([...files].filter(([name]) => !/^\.|^\.\.\//.test(name) && !recordOfRun.test(name)));
}

/** @param {Map<string, string>} a @param {Map<string, string>} b */
function same(a, b) {
  return a.size === b.size && [...a].every(([name, hash]) => b.get(name) === hash);
}

/** A name without what is random in it. @param {string} name */
function anyName(name) {
  const events = name.replace(/(events\.out\.tfevents)\.\d+\.(\w+)\.\d+\.\d+/, '$1.*.$2');
  return events.replace(/\d+-[a-z0-9]{6,}/, '*').replace(/[-.][a-z0-9]{6,8}\.tmp/, '.*.tmp');
}

/**
 * @template T
 * @param {Map<string, Promise<T>>} known
 * @param {string} key
 * @param {() => Promise<T>} make
 * @returns {Promise<T>}
 */
function remembered(known, key, make) {
  const found = known.get(key) ?? make();
  known.set(key, found);
  return found;
}
