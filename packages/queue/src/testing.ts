import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { distribute } from './index.js';
import type { DistributeEvent, DistributeOptions, DistributeSummary, RunOutcome, Timing } from './index.js';
import type { TestPayload } from './testWorker.js';

/** Two seconds where the defaults have twenty. */
export const quick: Partial<Timing> = { lock: 2000, stalledCheck: 300, giveUp: 10_000, unattended: 1000 };
export const version = 'test-1';

interface Said {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface TestWorker {
  readonly pid: number;
  readonly said: Said[];
  /** Waits until the worker has said such a word. */
  heard(type: string, id?: string): Promise<Said>;
  kill(signal: NodeJS.Signals): void;
  ended(): Promise<number | null>;
}

export interface Bench {
  readonly folder: string;
  /** What workers did, in order: [begin or end, run, pid]. */
  log(): [word: string, id: string, pid: string][];
  worker(more?: object): TestWorker;
  close(): Promise<void>;
}

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
let built: Promise<string> | undefined;

/** testWorker.ts as a script that Node runs. */
async function buildWorker(): Promise<string> {
  const outDir = source('../node_modules/.cache/testWorker');
  await build({
    entry: { testWorker: source('./testWorker.ts') },
    outDir,
    format: 'esm',
    target: 'node20',
    config: false,
    silent: true,
    external: ['bullmq', 'ioredis'],
    noExternal: [/^@lowrank\//],
    removeNodeProtocol: false,
    esbuildOptions: (options) => void (options.alias = { '@lowrank/errors': source('../../errors/src/index.ts') }),
  });
  return join(outDir, 'testWorker.js');
}

/** Workers as processes, built from the sources, and the log that they write. */
export async function startBench(url: string): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'queue-'));
  const log = join(folder, 'log');
  writeFileSync(log, '');
  const script = await (built ??= buildWorker());
  const workers: TestWorker[] = [];
  return {
    folder,
    log: () =>
      readFileSync(log, 'utf8')
        .trim()
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(' ') as [string, string, string]),
    worker(more = {}) {
      const started = startWorker(script, { url, version, log, timing: quick, ...more });
      workers.push(started);
      return started;
    },
    async close() {
      for (const each of workers) each.kill('SIGKILL');
      await Promise.all(workers.map((each) => each.ended()));
      rmSync(folder, { recursive: true });
    },
  };
}

function startWorker(script: string, config: object): TestWorker {
  const child = spawn(process.execPath, [script, JSON.stringify(config)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: Said[] = [];
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (text + chunk.toString()).split('\n');
    text = lines.pop() ?? '';
    said.push(...lines.map((line) => JSON.parse(line) as Said));
  });
  const exit = once(child, 'exit');
  return {
    pid: child.pid ?? -1,
    said,
    heard(type, id) {
      const what = (): string => `${type} ${id ?? ''} of ${JSON.stringify(said)}`;
      return until(() => {
        const word = said.find((each) => each.type === type && (id === undefined || each.id === id));
        if (word === undefined && child.exitCode !== null) throw new Error(`the worker ended: ${what()}`);
        return word;
      }, what);
    },
    kill: (signal) => void child.kill(signal),
    async ended() {
      await exit;
      return child.exitCode;
    },
  };
}

/** Waits until there is such a value. */
export async function until<T>(
  find: () => T | undefined | Promise<T | undefined>,
  what: () => string,
  limit = 20_000,
): Promise<T> {
  for (const end = Date.now() + limit; ; await delay(20)) {
    const found = await find();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain: ${what()}`);
  }
}

export interface Distributed {
  readonly outcomes: Map<string, RunOutcome<unknown>>;
  /** All calls of onOutcome, in order. */
  readonly reported: string[];
  readonly started: string[];
  readonly events: DistributeEvent[];
  readonly done: Promise<DistributeSummary>;
}

/** {@link distribute} with notes of all that it tells. */
export function distributed(
  url: string,
  runs: Readonly<Record<string, TestPayload>>,
  more: Partial<DistributeOptions<TestPayload, unknown>> = {},
): Distributed {
  const [outcomes, reported, started, events] = [
    new Map<string, RunOutcome<unknown>>(),
    [] as string[],
    [] as string[],
    [] as DistributeEvent[],
  ];
  const done = distribute<TestPayload, unknown>({
    url,
    study: 'study',
    version,
    runs: Object.entries(runs).map(([id, payload]) => ({ id, payload })),
    timing: quick,
    onStarted: (id, by) => void started.push(`${id} ${by.worker} ${by.takeovers}`),
    onOutcome(id, outcome) {
      reported.push(id);
      outcomes.set(id, outcome);
    },
    onEvent: (event) => void events.push(event),
    ...more,
  });
  return { outcomes, reported, started, events, done };
}
