import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis } from '../../../../tests/helpers/redisServer.js';
import type { RedisServer } from '../../../../tests/helpers/redisServer.js';
import type { StudyTable, WorkQueueEvent } from '@lowrank/study';
import { workQueue } from '@lowrank/study';
import { studyTrainer } from '../jobs/studyTrainer.js';
import { golden, runCli, scratch } from '../testing.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

interface Said {
  readonly type?: string;
  readonly run?: string;
  readonly finished?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** `lowrank worker` of the built packages, as a process of its own. */
function worker(flags: readonly string[] = []): {
  said: Said[];
  complaints: () => string;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<number | null>;
} {
  const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
  if (!existsSync(cli))
    throw new Error(`${cli} is not there: the workers of these tests are the built packages; run pnpm build`);
  const child = spawn(
    process.execPath,
    [cli, 'worker', '--queue', server.url, '--device', 'cpu', '--takeover-after', '3', '--json', ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const said: Said[] = [];
  let rest = '';
  let complaints = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    said.push(...lines.map((line) => JSON.parse(line) as Said));
  });
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  return {
    said,
    complaints: () => complaints,
    kill: (signal) => void child.kill(signal),
    ended: once(child, 'exit').then(() => child.exitCode),
  };
}

async function until(happened: () => boolean, what: () => string): Promise<void> {
  for (const end = Date.now() + 60_000; !happened(); await delay(20))
    if (Date.now() > end) throw new Error(`waited in vain: ${what()}`);
}

const [model, data, testData] = [
  join(golden, 'tied'),
  join(golden, 'train/rows.jsonl'),
  join(golden, 'train/eval.jsonl'),
];
const sweep = (output: string, flags: readonly string[] = []): string[] => [
  'sweep',
  '--model',
  model,
  '--data',
  data,
  '--test-data',
  testData,
  '--metric',
  'loss,rouge-l',
  '--max-new-tokens',
  '4',
  '--score-rows',
  '4',
  '--r',
  '1,2,4',
  '--learning-rate',
  '1e-3,3e-3',
  '--steps',
  '120',
  '--batch-size',
  '4',
  '--output',
  output,
  '--device',
  'cpu',
  '--json',
  ...flags,
];

/** All of a table but what belongs to a machine and a folder. */
function facts(table: StudyTable): unknown {
  return {
    ...table,
    best_folder: table.best_folder === null ? null : 'best',
    rows: table.rows.map(({ measured, ...row }) => ({ ...row, measured: measured === null ? null : 'measured' })),
  };
}

interface OutcomeLine {
  readonly run: string;
  readonly outcome: { readonly status: string };
  readonly reused: boolean;
}

test(
  'a sweep of six runs over three workers, one of them killed in mid-run: each run is finished once, and the ' +
    'table is that of one process',
  async () => {
    using folder = scratch();
    const [here, there] = [join(folder.path, 'here'), join(folder.path, 'there')];
    const alone = (await runCli(sweep(here))).json<OutcomeLine & StudyTable>();
    const workers = [worker(), worker(), worker()];
    try {
      await until(
        () => workers.every(({ said }) => said.some(({ type }) => type === 'ready')),
        () => workers.map(({ complaints }) => complaints()).join('\n'),
      );
      const running = runCli(sweep(there, ['--queue', server.url]));
      const begun = (each: (typeof workers)[number]): string | undefined =>
        each.said.find(({ type }) => type === 'started')?.run;
      await until(
        () => workers.some((each) => begun(each) !== undefined),
        () => 'a run to begin',
      );
      const victim = workers.find((each) => begun(each) !== undefined);
      const victims = victim === undefined ? undefined : begun(victim);
      victim?.kill('SIGKILL');
      await victim?.ended;
      expect(victim?.said.filter(({ type }) => type === 'finished')).toEqual([]);
      const outcome = await running;
      expect(outcome).toMatchObject({ code: 0 });
      expect(outcome.stderr).toContain('its worker was lost; another takes it over');
      const lines = outcome.json<OutcomeLine & StudyTable>();
      const together = lines.pop() as StudyTable;
      const runs = lines.map(({ run }) => run);
      // By the study: six outcomes, of six runs, none of them from before.
      expect(lines.map(({ outcome: { status }, reused }) => `${status} ${reused}`)).toEqual(
        Array.from({ length: 6 }, () => 'done false'),
      );
      expect(new Set(runs).size).toBe(6);
      // By the workers: each run finished by one, that of the killed one by another.
      const finished = workers.flatMap(({ said }) =>
        said.filter(({ type }) => type === 'finished').map(({ run }) => run ?? ''),
      );
      expect(finished.sort()).toEqual([...runs].sort());
      expect(finished).toContain(victims);
      const table = alone.pop() as StudyTable;
      expect(facts(together)).toEqual(facts(table));
      expect(table.rows.map(({ scores }) => scores.loss?.mean)).not.toContain(undefined);
      // What was learned came back: the best adapter is the same, byte for byte.
      const best = (place: string): Buffer => readFileSync(join(place, 'best/adapter_model.safetensors'));
      expect(best(there).equals(best(here))).toBe(true);
      // The outcomes are written down: nothing is done again.
      const again = (await runCli(sweep(there, ['--queue', server.url]))).json<OutcomeLine & StudyTable>();
      expect(again.slice(0, -1).map(({ reused }) => reused)).toEqual(Array.from({ length: 6 }, () => true));
      expect(
        (await server.keys()).filter((key) => !/^lowrank:runs:(meta|id|events|marker|stalled-check)$/.test(key)),
      ).toEqual([]);
    } finally {
      for (const each of workers) each.kill('SIGKILL');
      await Promise.all(workers.map(({ ended }) => ended));
    }
  },
  180_000,
);

test('a run that fails is told as one, by its worker and in the table', async () => {
  using folder = scratch();
  const told: WorkQueueEvent[] = [];
  const backend = await createCpuBackend({ threads: 1 });
  try {
    const working = workQueue({
      trainer: studyTrainer(backend),
      url: server.url,
      once: true,
      idleExit: 30,
      onEvent: (event) => void told.push(event),
    });
    const flags = [
      'sweep',
      '--model',
      model,
      '--data',
      data,
      '--test-data',
      testData,
      '--r',
      '1',
      '--target-modules',
      'nowhere',
      '--steps',
      '1',
      '--output',
      folder.path,
      '--queue',
      server.url,
      '--json',
    ];
    expect(await runCli(flags)).toMatchObject({ code: 2, stdout: expect.stringContaining('study.failed') as string });
    expect(await working).toMatchObject({ finished: 1 });
    expect(told.at(-1)).toMatchObject({
      type: 'finished',
      outcome: 'failed',
      message: expect.stringContaining('nowhere') as string,
    });
  } finally {
    backend.dispose();
  }
});

test('idle and interrupted workers end well; a queue that is none is told', async () => {
  using folder = scratch();
  const [idle, interrupted] = [worker(['--idle-exit', '1']), worker()];
  try {
    expect(await idle.ended).toBe(0);
    expect(idle.said.at(-1)).toMatchObject({ finished: 0 });
    await until(() => interrupted.said.some(({ type }) => type === 'ready'), interrupted.complaints);
    interrupted.kill('SIGINT');
    expect(await interrupted.ended).toBe(130);
  } finally {
    for (const each of [idle, interrupted]) each.kill('SIGKILL');
  }
  expect(await runCli(sweep(join(folder.path, 'out'), ['--queue', 'redis://127.0.0.1:1']))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('ECONNREFUSED') as string,
  });
  expect(await runCli(sweep(join(folder.path, 'out'), ['--queue', 'http://127.0.0.1']))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('redis://host:port') as string,
  });
});
