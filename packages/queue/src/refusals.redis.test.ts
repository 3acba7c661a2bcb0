import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { freePort, startRedis } from '../../../tests/helpers/redisServer.js';
import type { RedisServer } from '../../../tests/helpers/redisServer.js';
import type { RunOutcome } from './index.js';
import { distributed, quick, startBench, until } from './testing.js';
import type { Bench } from './testing.js';

let server: RedisServer;
let bench: Bench;
beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  const redis = new Redis(server.url);
  await redis.flushall();
  redis.disconnect();
  bench = await startBench(server.url);
});
afterEach(() => bench.close());
afterAll(() => server.stop());

test('files travel back through Redis, whatever their sizes, and leave it', async () => {
  bench.worker();
  const files = { 'adapter/weights': 9 * 2 ** 20 + 7, 'adapter/config.json': 4 * 2 ** 20, empty: 0, 'z/small': 3 };
  const target = mkdtempSync(join(tmpdir(), 'received-'));
  try {
    const { outcomes, done } = distributed(
      server.url,
      { a: { kind: 'files', files } },
      {
        async onOutcome(id, outcome) {
          outcomes.set(id, outcome);
          if (outcome.status === 'done' && outcome.files?.kind === 'sent') await outcome.files.saveTo(target);
        },
      },
    );
    await done;
    expect(outcomes.get('a')).toMatchObject({
      files: { kind: 'sent', bytes: 13 * 2 ** 20 + 10, names: Object.keys(files).sort() },
    });
    for (const [name, bytes] of Object.entries(files))
      expect(readFileSync(join(target, name)).equals(Buffer.alloc(bytes, name))).toBe(true);
    const redis = new Redis(server.url);
    expect(await redis.keys('lowrank:files:*')).toEqual([]);
    redis.disconnect();
  } finally {
    rmSync(target, { recursive: true });
  }
});

test('files that are too large stay with the worker, and the outcome says where', async () => {
  bench.worker({ fileLimit: 1000 });
  const { outcomes, done } = distributed(server.url, { a: { kind: 'files', files: { big: 1001 } } });
  await done;
  const outcome = outcomes.get('a') as RunOutcome<unknown> & { status: 'done' };
  expect(outcome.files).toMatchObject({
    kind: 'left',
    bytes: 1001,
    reason: expect.stringContaining('at most 1000') as string,
  });
  const path = outcome.files?.kind === 'left' ? outcome.files.path : '';
  expect(readdirSync(path)).toEqual(['big']);
  rmSync(path, { recursive: true });
});

test('a Redis without room for the files leaves them with the worker', async () => {
  const small = await startRedis(['--maxmemory', '16mb', '--maxmemory-policy', 'noeviction']);
  const crowded = await startBench(small.url);
  try {
    crowded.worker();
    const { outcomes, done } = distributed(small.url, { a: { kind: 'files', files: { big: 40 * 2 ** 20 } } });
    await done;
    const outcome = outcomes.get('a') as RunOutcome<unknown> & { status: 'done' };
    expect(outcome.files).toMatchObject({ kind: 'left', reason: expect.stringContaining('no room') as string });
    if (outcome.files?.kind === 'left') rmSync(outcome.files.path, { recursive: true });
  } finally {
    await crowded.close();
    await small.stop();
  }
});

test('a run of another version is left to workers that know it, said once on both sides', async () => {
  const old = bench.worker({ version: 'test-0', timing: { ...quick, leave: 300 } });
  await old.heard('ready');
  const controller = new AbortController();
  const { outcomes, events, done } = distributed(server.url, { a: { kind: 'done' } });
  const refused = await old.heard('refused');
  expect(refused).toMatchObject({ id: 'a', message: expect.stringMatching(/test-0, which this worker is.*test-1/) });
  await until(
    () => events.find(({ type }) => type === 'refused'),
    () => JSON.stringify(events),
  );
  const own = distributed(
    server.url,
    { b: { kind: 'done' } },
    { study: 'old', version: 'test-0', signal: controller.signal },
  );
  await own.done;
  expect(own.outcomes.get('b')).toMatchObject({ status: 'done', worker: `w${old.pid}` });
  expect(old.said.filter(({ type }) => type === 'refused')).toHaveLength(1);
  const fitting = bench.worker();
  await done;
  expect(outcomes.get('a')).toMatchObject({ worker: `w${fitting.pid}`, takeovers: 0 });
});

test('a worker that cannot take a run hands it back and ends', async () => {
  const unfit = bench.worker();
  const controller = new AbortController();
  const { events, done } = distributed(server.url, { a: { kind: 'unfit' } }, { signal: controller.signal });
  expect(await unfit.ended()).toBe(2);
  expect(unfit.said.at(-1)).toMatchObject({ code: 'queue.unfit' });
  expect(
    await until(
      () => events.find(({ type }) => type === 'refused'),
      () => JSON.stringify(events),
    ),
  ).toMatchObject({ id: 'a', message: 'this worker: got told to be unfit' });
  controller.abort();
  expect(await done).toEqual({ interrupted: true, atWork: [] });
});

test(
  'a Redis that is not there, wants a password, evicts keys or is a replica is told at once, with ' + 'what to do',
  async () => {
    const told = (url: string, flags: object): Promise<void> =>
      expect(distributed(url, { a: { kind: 'done' } }).done).rejects.toMatchObject(flags);
    await told(`redis://127.0.0.1:${await freePort()}`, {
      code: 'queue.unreachable',
      message: expect.stringMatching(/ECONNREFUSED.*Start it/) as string,
    });
    await told('redis://no-such-host.invalid', { code: 'queue.unreachable' });
    await told('http://127.0.0.1', { code: 'queue.url' });
    const locked = await startRedis(['--requirepass', 'secret']);
    const evicting = await startRedis(['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru']);
    const replica = await startRedis(['--replicaof', '127.0.0.1', String(server.port)]);
    try {
      await told(locked.url, {
        code: 'queue.auth',
        message: expect.stringContaining('redis://user:password@host:port') as string,
      });
      await told(locked.url.replace('//', '//:wrong@'), {
        code: 'queue.auth',
        message: expect.not.stringContaining('wrong@') as string,
      });
      await told(evicting.url, {
        code: 'queue.eviction',
        message: expect.stringContaining('got allkeys-lru') as string,
      });
      await told(replica.url, { code: 'queue.readOnly' });
    } finally {
      await Promise.all([locked.stop(), evicting.stop(), replica.stop()]);
    }
    const worker = bench.worker({ url: 'redis://127.0.0.1:1' });
    expect(await worker.ended()).toBe(2);
    expect(worker.said).toEqual([expect.objectContaining({ type: 'threw', code: 'queue.unreachable' })]);
  },
);

test('a Redis that restarts empty in between: the study adds its runs again', async () => {
  const first = await startRedis();
  const second = await startBench(first.url);
  let again: RedisServer | undefined;
  try {
    const worker = second.worker();
    const { reported, events, done } = distributed(first.url, {
      a: { kind: 'wait', milliseconds: 1000 },
      b: { kind: 'done' },
    });
    await worker.heard('started', 'a');
    await first.stop();
    again = await startRedis([], first.port);
    await done;
    expect([...reported].sort()).toEqual(['a', 'b']);
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['connection', 'addedAgain']));
  } finally {
    await second.close();
    await again?.stop();
  }
});

test('a Redis that stays away is given up', async () => {
  const lost = await startRedis();
  const alone = await startBench(lost.url);
  try {
    const timing = { ...quick, giveUp: 1000 };
    const worker = alone.worker({ timing });
    await worker.heard('ready');
    const { done } = distributed(lost.url, { a: { kind: 'wait', milliseconds: 3000 } }, { timing });
    await worker.heard('started');
    await lost.stop();
    await expect(done).rejects.toMatchObject({ code: 'queue.lost' });
    expect(await worker.ended()).toBe(2);
    expect(worker.said.at(-1)).toMatchObject({ code: 'queue.lost' });
  } finally {
    await alone.close();
  }
});

test('one study is handed out once at a time, and its runs have names of their own', async () => {
  const controller = new AbortController();
  const { done } = distributed(server.url, { a: { kind: 'done' } }, { signal: controller.signal });
  const redis = new Redis(server.url);
  await until(
    async () => ((await redis.exists('lowrank:runs:study/a')) === 1 ? true : undefined),
    () => 'the run in the queue',
  );
  redis.disconnect();
  const second = new AbortController();
  const busy = distributed(server.url, { a: { kind: 'done' } }, { signal: second.signal });
  setTimeout(() => second.abort(), 300);
  await expect(busy.done).rejects.toMatchObject({ code: 'queue.studyBusy' });
  controller.abort();
  expect(await done).toEqual({ interrupted: true, atWork: [] });
  const runs = [
    { id: 'a', payload: { kind: 'done' } as const },
    { id: 'a', payload: { kind: 'fail' } as const },
  ];
  await expect(distributed(server.url, {}, { runs }).done).rejects.toMatchObject({ code: 'queue.duplicate' });
});

test('a study without a worker says so', async () => {
  const controller = new AbortController();
  const { events, done } = distributed(server.url, { a: { kind: 'done' } }, { signal: controller.signal });
  await until(
    () => events.find(({ type }) => type === 'unattended'),
    () => JSON.stringify(events),
  );
  controller.abort();
  await done;
});
