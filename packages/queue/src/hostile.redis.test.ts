import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startRedis } from '../../../tests/helpers/redisServer.js';
import type { RedisServer } from '../../../tests/helpers/redisServer.js';
import { distributed, startBench, until, version } from './testing.js';
import type { Bench } from './testing.js';

let server: RedisServer;
let bench: Bench;
let redis: Redis;
let queue: Queue;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  queue = new Queue('runs', { connection: redis, prefix: 'lowrank', skipVersionCheck: true });
});
beforeEach(async () => {
  await redis.flushall();
  bench = await startBench(server.url);
});
afterEach(() => bench.close());
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
});

const goodData = { protocol: 1, version, payload: '{"kind":"done"}' };

test('jobs that no study handed out are failed jobs, and the worker does the next run', async () => {
  const jobs: [jobId: string, data: unknown][] = [
    ['%E0%A4%A', goodData],
    ['nothing', goodData],
    ['study/', goodData],
    ['a/b/c', goodData],
    ['study/no-data', {}],
    ['study/null', null],
    ['study/text', 'x'],
    ['study/payload', { ...goodData, payload: '{' }],
    ['study/deep', { ...goodData, payload: '['.repeat(50_000) }],
  ];
  for (const [jobId, data] of jobs) await queue.add('run', data, { jobId });
  // BullMQ's own numbers.
  await queue.add('run', goodData);
  const worker = bench.worker();
  for (const [jobId] of jobs)
    await until(
      async () => (await (await queue.getJob(jobId))?.isCompleted()) ?? undefined,
      () => `${jobId} to end; ${JSON.stringify(worker.said)}`,
    );
  const { outcomes, done } = distributed(server.url, { good: { kind: 'done' } });
  await done;
  expect(outcomes.get('good')).toMatchObject({ status: 'done', worker: `w${worker.pid}` });
  expect(worker.said.filter(({ type }) => type === 'finished').map(({ status }) => status)).toEqual([
    ...jobs.map(() => 'failed'),
    'failed',
    'done',
  ]);
  expect((await queue.getJob('nothing'))?.returnvalue).toMatchObject({ result: { error: { code: 'queue.id' } } });
  expect((await queue.getJob('study/text'))?.returnvalue).toMatchObject({ result: { error: { code: 'queue.job' } } });
});

test('what is no job at all is passed over', async () => {
  await redis.hset('lowrank:runs:study/broken', { name: 'run', data: '{', opts: '{}', timestamp: '1' });
  await redis.hset('lowrank:runs:study/opts', { name: 'run', data: '{}', opts: 'x', timestamp: 'x', progress: '{' });
  await redis.set('lowrank:runs:study/string', 'x');
  await redis.lpush(
    'lowrank:runs:wait',
    'study/broken',
    'study/missing',
    'study/opts',
    'study/string',
    '',
    '\u001b[2J',
  );
  await redis.zadd('lowrank:runs:marker', 0, '0');
  const worker = bench.worker();
  await worker.heard('ready');
  const { outcomes, done } = distributed(server.url, { good: { kind: 'done' } });
  await done;
  expect(outcomes.get('good')).toMatchObject({ status: 'done', worker: `w${worker.pid}` });
});

test('keys of another kind: the worker says so, waits, and goes on when they are gone', async () => {
  await redis.set('lowrank:runs:wait', 'x');
  await redis.zadd('lowrank:runs:marker', 0, '0');
  const worker = bench.worker();
  await worker.heard('trouble');
  await redis.del('lowrank:runs:wait');
  const { outcomes, done } = distributed(server.url, { good: { kind: 'done' } });
  await done;
  expect(outcomes.get('good')).toMatchObject({ worker: `w${worker.pid}` });
});

test('a study takes what it cannot read for a failed run, and reports of another form for nothing', async () => {
  const { outcomes, events, done } = distributed(server.url, { a: { kind: 'done' }, b: { kind: 'done' } });
  await until(
    async () => ((await redis.llen('lowrank:runs:wait')) === 2 ? true : undefined),
    () => 'both runs in the queue',
  );
  for (const data of ['x', null, { type: 'progress', value: '{' }, { type: 'started' }, { type: 'progress', value: 5 }])
    await queue.updateJobProgress('study/a', data as object);
  await redis.hset('lowrank:runs:study/a', { returnvalue: '{"protocol":1,"worker":7}', finishedOn: '1' });
  await redis.lrem('lowrank:runs:wait', 0, 'study/a');
  // The study would look by itself, a little later.
  const report = (jobId: string): Promise<unknown> =>
    redis.xadd('lowrank:runs:events', '*', 'event', 'completed', 'jobId', jobId, 'returnvalue', '1');
  await report('study/a');
  await until(
    () => outcomes.get('a'),
    () => JSON.stringify(events),
  );
  expect(outcomes.get('a')).toMatchObject({ status: 'failed', error: { code: 'queue.protocol' } });
  await redis.hset('lowrank:runs:study/b', { data: '{' });
  await redis.lrem('lowrank:runs:wait', 0, 'study/b');
  await report('study/b');
  bench.worker();
  await done;
  expect(outcomes.get('b')).toMatchObject({ status: 'done' });
});
