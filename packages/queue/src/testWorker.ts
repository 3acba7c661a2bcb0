// A worker of the tests, as a process of its own: what its payload says, it does.
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LowrankError } from '@lowrank/errors';
import { work } from './index.js';
import type { RunContext, RunResult, Timing } from './index.js';

/** What a run of the tests does. */
export type TestPayload = { readonly number?: number } & (
  | { readonly kind: 'done' | 'fail' | 'die' | 'unfit' }
  /** `again`: how long it takes the second time. */
  | { readonly kind: 'wait' | 'block'; readonly milliseconds: number; readonly again?: number }
  | { readonly kind: 'files'; readonly files: Readonly<Record<string, number>> }
);

interface Config {
  readonly url: string;
  readonly version: string;
  readonly log: string;
  readonly timing: Partial<Timing>;
  readonly takeovers?: number;
  readonly fileLimit?: number;
  readonly runs?: number;
  readonly idleExit?: number;
}

const config = JSON.parse(process.argv[2] ?? '') as Config;
const report = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const note = (word: string, id: string): void => appendFileSync(config.log, `${word} ${id} ${process.pid}\n`);

async function run(payload: TestPayload, { id, signal, progress }: RunContext): Promise<RunResult<unknown>> {
  const again = readFileSync(config.log, 'utf8').includes(`begin ${id} `);
  note('begin', id);
  progress({ at: 1 });
  if (payload.kind === 'fail') throw new LowrankError({ code: 'test.failed', what: `run ${id}`, got: 'told to fail' });
  if (payload.kind === 'unfit')
    throw new LowrankError({ code: 'queue.unfit', what: 'this worker', got: 'told to be unfit' });
  if (payload.kind === 'die') process.kill(process.pid, 'SIGKILL');
  // A training step keeps the main thread.
  const milliseconds =
    payload.kind === 'block' || payload.kind === 'wait'
      ? again
        ? (payload.again ?? payload.milliseconds)
        : payload.milliseconds
      : 0;
  if (payload.kind === 'block') for (const until = Date.now() + milliseconds; Date.now() < until;);
  if (payload.kind === 'wait') await delay(milliseconds, undefined, { signal });
  note('end', id);
  if (payload.kind !== 'files') return { value: { id, twice: (payload.number ?? 0) * 2, nan: NaN } };
  const folder = mkdtempSync(join(tmpdir(), 'testWorker-'));
  for (const [name, bytes] of Object.entries(payload.files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), Buffer.alloc(bytes, name));
  }
  return {
    value: { id },
    files: folder,
    onSettled: ({ kept }) => (kept ? undefined : rmSync(folder, { recursive: true })),
  };
}

const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
try {
  report({
    type: 'ended',
    ...(await work<TestPayload, unknown>({
      ...config,
      name: `w${process.pid}`,
      run,
      onEvent: report,
      signal: controller.signal,
    })),
  });
} catch (error) {
  report({ type: 'threw', code: (error as { code?: string }).code, message: (error as Error).message });
  process.exitCode = 2;
}
