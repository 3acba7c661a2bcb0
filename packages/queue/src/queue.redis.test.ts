import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RedisServer } from '../../../tests/helpers/redisServer.js';
import { startRedis } from '../../../tests/helpers/redisServer.js';
import { distributed, startBench, until } from './testing.js';
import type { Bench } from './testing.js';
import type { TestPayload } from './testWorker.js';

let server: RedisServer;
let bench: Bench;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
beforeEach(async () => {
  await redis.flushall();
  bench = await startBench(server.url);
});
afterEach(() => bench.close());
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

const sixRuns: Record<string, TestPayload> = Object.fromEntries(
  [1, 2, 3, 4, 5, 6].map((number) => [`r${number}`, { kind: 'wait', milliseconds: 400, number } as const]),
);
/** Each run that was begun and brought to its end, in the workers' own notes. */
const ends = (): string[] =>
  bench
    .log()
    .filter(([word]) => word === 'end')
    .map(([, id]) => id)
    .sort();

test('six runs over three workers: each is done once, by one of them, and nothing stays in Redis', async () => {
  const workers = [bench.worker(), bench.worker(), bench.worker()];
  await Promise.all(workers.map((each) => each.heard('ready')));
  const { outcomes, reported, started, events, done } = distributed(server.url, sixRuns);
  expect(await done).toEqual({ interrupted: false, atWork: [] });
  expect([...reported].sort()).toEqual(Object.keys(sixRuns));
  expect(ends()).toEqual(Object.keys(sixRuns));
  expect(outcomes.get('r3')).toMatchObject({ status: 'done', value: { id: 'r3', twice: 6, nan: NaN }, takeovers: 0 });
  expect(new Set([...outcomes.values()].map(({ worker }) => worker)).size).toBe(3);
  expect(started).toHaveLength(6);
  expect(events.filter(({ type }) => type === 'progress')).toHaveLength(6);
  // What is left is BullMQ's own bookkeeping, the same for any number of studies, and expires or stays this small.
  expect(
    (await redis.keys('*')).filter((key) => !/^lowrank:runs:(meta|id|events|marker|stalled-check)$/.test(key)),
  ).toEqual([]);
  expect(await redis.xlen('lowrank:runs:events')).toBe(0);
});

test('the run of a killed worker is taken over, and ends once', async () => {
  const workers = [bench.worker(), bench.worker()];
  const { outcomes, reported, started, events, done } = distributed(server.url, {
    ...sixRuns,
    long: { kind: 'wait', milliseconds: 60_000, again: 100 },
  });
  const victim = await until(
    () => workers.find(({ said }) => said.some(({ type, id }) => type === 'started' && id === 'long')),
    () => 'long to begin',
  );
  victim.kill('SIGKILL');
  const killed = Date.now();
  await done;
  expect([...reported].sort()).toEqual(['long', ...Object.keys(sixRuns)]);
  expect(ends()).toEqual(['long', ...Object.keys(sixRuns)]);
  expect(outcomes.get('long')).toMatchObject({ status: 'done', takeovers: 1 });
  expect(events).toContainEqual({ type: 'lost', id: 'long' });
  expect(started.filter((word) => word.startsWith('long '))).toHaveLength(2);
  expect(Date.now() - killed).toBeLessThan(20_000);
});

test('a worker that was stopped for longer than its lock lives: its late result is refused', async () => {
  const sleeper = bench.worker();
  const { outcomes, reported, done } = distributed(server.url, {
    a: { kind: 'block', milliseconds: 3000, again: 100 },
  });
  await sleeper.heard('started', 'a');
  sleeper.kill('SIGSTOP');
  const other = bench.worker();
  await done;
  expect(outcomes.get('a')).toMatchObject({ status: 'done', worker: `w${other.pid}`, takeovers: 1 });
  // Its main thread hears of nothing before the run has come to its end: it is Redis that refuses.
  sleeper.kill('SIGCONT');
  await sleeper.heard('lost', 'a');
  expect(bench.log().filter(([word]) => word === 'end')).toHaveLength(2);
  // It goes on to work as before.
  other.kill('SIGKILL');
  const next = distributed(server.url, { b: { kind: 'done' } }, { study: 'next' });
  await next.done;
  expect(next.outcomes.get('b')).toMatchObject({ worker: `w${sleeper.pid}` });
  expect(reported).toEqual(['a']);
});

test('a worker that wakes up while its run is with another gives it up', async () => {
  const sleeper = bench.worker();
  const { outcomes, done } = distributed(server.url, { a: { kind: 'wait', milliseconds: 5000, again: 3000 } });
  await sleeper.heard('started', 'a');
  sleeper.kill('SIGSTOP');
  const other = bench.worker();
  await other.heard('started', 'a');
  sleeper.kill('SIGCONT');
  await sleeper.heard('lost', 'a');
  await done;
  expect(outcomes.get('a')).toMatchObject({ worker: `w${other.pid}` });
});

test('a step that keeps the main thread for longer than the lock lives loses nothing', async () => {
  const busy = bench.worker();
  await Promise.all([busy.heard('ready'), bench.worker().heard('ready')]);
  const { outcomes, events, done } = distributed(server.url, { a: { kind: 'block', milliseconds: 4500 } });
  await done;
  expect(outcomes.get('a')).toMatchObject({ status: 'done', takeovers: 0 });
  expect(events.filter(({ type }) => type === 'lost')).toEqual([]);
  expect(busy.said.filter(({ type }) => type === 'lost')).toEqual([]);
});

test('a run that fails is an outcome with its error, once; the next one goes on', async () => {
  bench.worker();
  const { outcomes, reported, done } = distributed(server.url, { bad: { kind: 'fail' }, good: { kind: 'done' } });
  await done;
  expect([...reported].sort()).toEqual(['bad', 'good']);
  expect(outcomes.get('bad')).toMatchObject({
    status: 'failed',
    error: { code: 'test.failed', message: 'run bad: got told to fail' },
  });
  expect(outcomes.get('good')).toMatchObject({ status: 'done' });
  expect(bench.log().filter(([word, id]) => word === 'begin' && id === 'bad')).toHaveLength(1);
});

test('a run that kills its workers ends as failed', async () => {
  for (let at = 0; at < 3; at += 1) bench.worker({ takeovers: 1 });
  const { outcomes, done } = distributed(server.url, { killer: { kind: 'die' } });
  await done;
  const outcome = outcomes.get('killer');
  expect(outcome).toMatchObject({ status: 'failed', error: { code: 'queue.takeovers' } });
  expect(outcome?.status === 'failed' && outcome.error.message).toMatch(/run killer: its worker was lost 2 times/);
  expect(bench.log()).toHaveLength(2);
});

test('an interrupted worker hands its run back at once, and another does it', async () => {
  const first = bench.worker();
  const { outcomes, events, done } = distributed(server.url, { a: { kind: 'wait', milliseconds: 60_000, again: 100 } });
  await first.heard('started', 'a');
  const second = bench.worker();
  await second.heard('ready');
  const begun = Date.now();
  first.kill('SIGINT');
  await second.heard('started', 'a');
  expect(Date.now() - begun).toBeLessThan(1800);
  expect(await first.ended()).toBe(0);
  expect(first.said.at(-1)).toEqual({ type: 'ended', finished: 0, failed: 0, lost: 0, handedBack: 1 });
  await done;
  expect(events).toContainEqual({ type: 'handedBack', id: 'a', worker: `w${first.pid}` });
  expect(outcomes.get('a')).toMatchObject({ worker: `w${second.pid}`, takeovers: 0 });
});

test('an interrupted study takes back what has not begun; resumed, it finds what was done meanwhile', async () => {
  const controller = new AbortController();
  const worker = bench.worker();
  const runs: Record<string, TestPayload> = {
    a: { kind: 'wait', milliseconds: 3000 },
    b: { kind: 'done' },
    c: { kind: 'done' },
  };
  const first = distributed(server.url, runs, { signal: controller.signal });
  await worker.heard('started', 'a');
  controller.abort();
  expect(await first.done).toEqual({ interrupted: true, atWork: ['a'] });
  await worker.heard('finished', 'a');
  await delay(300);
  expect(bench.log().map(([word, id]) => `${word} ${id}`)).toEqual(['begin a', 'end a']);
  const second = distributed(server.url, runs);
  expect(await second.done).toEqual({ interrupted: false, atWork: [] });
  expect([...first.reported, ...second.reported].sort()).toEqual(['a', 'b', 'c']);
  expect(ends()).toEqual(['a', 'b', 'c']);
});

test('an outcome that could not be taken is kept for the next time', async () => {
  bench.worker();
  const failing = distributed(
    server.url,
    { a: { kind: 'done' } },
    { onOutcome: () => Promise.reject(new Error('the disk is full')) },
  );
  await expect(failing.done).rejects.toThrow('the disk is full');
  const again = distributed(server.url, { a: { kind: 'done' } });
  await again.done;
  expect(again.reported).toEqual(['a']);
  expect(bench.log()).toHaveLength(2);
});

test('a worker returns after so many runs, and after so long without one', async () => {
  const [one, idle] = [bench.worker({ runs: 1 }), bench.worker({ idleExit: 1500 })];
  const { done } = distributed(server.url, {
    a: { kind: 'wait', milliseconds: 300 },
    b: { kind: 'wait', milliseconds: 300 },
  });
  await done;
  expect(await Promise.all([one.ended(), idle.ended()])).toEqual([0, 0]);
  expect(one.said.at(-1)).toMatchObject({ type: 'ended', finished: 1 });
});
