import type { LowrankError } from '@lowrank/errors';
import { expect, test } from 'vitest';
import { startedWord } from './control.js';
import { Heap } from './heap.js';
import { Fn, KernelId } from './kernelIds.js';
import { loadModule } from './module.js';
import { Pool } from './pool.js';
import { Recorder } from './recorder.js';

test.each([1, 2, 5])('%i threads walk records in order, each unit once', async (threads) => {
  const heap = new Heap({ shared: threads > 1, maximumBytes: 2 ** 26 });
  const { module } = await loadModule(threads > 1);
  const pool = new Pool(heap, module, threads);
  expect(pool.threads).toBe(threads);
  const bytes = 65536 * 20;
  const block = heap.allocate(bytes, 'block');
  const recorder = new Recorder(heap, threads);
  // Each launch overwrites what the one before wrote: the last value everywhere shows that launches wait for each
  // other.
  for (let value = 1; value <= 40; value++) recorder.launch(KernelId.fill, [block, bytes, value], 20, 8192);
  const records = recorder.finish();
  for (let round = 0; round < 20; round++) {
    heap.bytes.fill(0, block, block + bytes);
    await pool.run(records, recorder.count);
    expect(heap.bytes.subarray(block, block + bytes).every((byte) => byte === 40)).toBe(true);
  }
  pool.dispose();
  pool.dispose();
});

test('workers come late to a memory that has grown, and still help', async () => {
  const heap = new Heap({ shared: true, maximumBytes: 2 ** 28 });
  const { module } = await loadModule(true);
  const pool = new Pool(heap, module, 3);
  const bytes = 65536 * 1000;
  const block = heap.allocate(bytes, 'block');
  const recorder = new Recorder(heap, 3);
  recorder.launch(KernelId.fill, [block, bytes, 9], 1000, 8192);
  const records = recorder.finish();
  await new Promise((resolve) => setTimeout(resolve, 100));
  await pool.run(records, recorder.count);
  expect(heap.bytes[block]).toBe(9);
  expect(heap.bytes[block + bytes - 1]).toBe(9);
  pool.dispose();
});

interface Inside {
  readonly words: Int32Array;
  readonly workers: readonly { terminate(): void }[];
}

async function poolOf(change: (heap: Heap) => void = () => undefined): Promise<{ heap: Heap; pool: Pool } & Inside> {
  const heap = new Heap({ shared: true, maximumBytes: 2 ** 26 });
  change(heap);
  const pool = new Pool(heap, (await loadModule(true)).module, 2);
  const { control, workers } = pool as unknown as { control: { words: Int32Array } } & Pick<Inside, 'workers'>;
  while (control.words[startedWord] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  return { heap, pool, words: control.words, workers };
}

/** 2·x over `elements`: the constant is spread over a slot of each thread's own scratch memory. */
function doubling(heap: Heap, elements: number): Recorder {
  const block = heap.allocate(4 * elements, 'block');
  const recorder = new Recorder(heap, 2);
  const words = [elements, block, 2, 1, 3, 0, block, 0, 0, 2, 0x40000000, 0, 0, Fn.mul, 0, 1, 0, 1];
  recorder.launch(KernelId.elementwise, words, elements / 256, 256);
  return recorder;
}

const broken = (run: () => Promise<void> | undefined): Promise<unknown> =>
  Promise.resolve()
    .then(run)
    .then(
      () => 'no error',
      (error: unknown) => error,
    );

test('a worker that traps in the middle of a run ends it with its words, and the pool', async () => {
  let blocks = 0;
  const { heap, pool } = await poolOf((made) => {
    const allocate = made.allocate.bind(made);
    // The second thread's scratch memory lies outside of all memory.
    made.allocate = (bytes, label) =>
      label === 'scratch memory' && blocks++ === 1 ? 0xfff00000 : allocate(bytes, label);
  });
  const recorder = doubling(heap, 2 ** 20);
  const records = recorder.finish();
  // A busy machine may keep the worker from a run.
  const error = (await broken(async () => {
    for (let i = 0; i < 1000; i++) await pool.run(records, recorder.count);
  })) as LowrankError;
  expect(error).toMatchObject({ code: 'cpu.threadLost', got: 'RuntimeError: memory access out of bounds' });
  expect(error.message).toContain('make another backend');
  expect(() => pool.check()).toThrow(error);
  pool.dispose();
});

test('a worker that is gone in the middle of a run ends it, and nothing waits for it', async () => {
  const { heap, pool, words, workers } = await poolOf();
  const recorder = doubling(heap, 2 ** 16);
  const records = recorder.finish();
  // It has entered, and never leaves.
  Atomics.add(words, 2, 1);
  workers[0]?.terminate();
  const first = pool.run(records, recorder.count);
  expect(pool.stalled).toBe(first);
  expect(await broken(() => first)).toMatchObject({ code: 'cpu.threadLost', got: 'it exited with code 1' });
  expect(pool.stalled).toBeUndefined();
  expect(() => pool.check()).toThrow('it exited with code 1');
});

test('a run that only stands still for a while is waited for, by whoever comes first', async () => {
  const { heap, pool, words } = await poolOf();
  const recorder = doubling(heap, 2 ** 12);
  const records = recorder.finish();
  for (const isSeenThrough of [false, true]) {
    Atomics.add(words, 2, 1);
    const end = pool.run(records, recorder.count);
    expect(end).toBeInstanceOf(Promise);
    const leave = (): number => Atomics.sub(words, 2, 1);
    if (isSeenThrough) {
      leave();
      pool.check();
    } else setTimeout(leave, 20);
    await end;
    expect(pool.run(records, recorder.count)).toBeUndefined();
  }
  Atomics.add(words, 2, 1);
  const cut = broken(() => pool.run(records, recorder.count));
  await Promise.resolve();
  pool.dispose();
  expect(await cut).toMatchObject({ got: 'the backend was disposed of in the middle of a run' });
});

test('what the calling thread throws ends the pool too', async () => {
  for (const threads of [1, 2]) {
    const heap = new Heap({ shared: threads > 1, maximumBytes: 2 ** 26 });
    const pool = new Pool(heap, (await loadModule(threads > 1)).module, threads);
    const recorder = new Recorder(heap, threads);
    recorder.launch(9999 as KernelId, [0], 4, 1);
    const records = recorder.finish();
    expect(await broken(() => pool.run(records, recorder.count))).toMatchObject({
      code: 'cpu.threadLost',
      got: 'RuntimeError: unreachable',
    });
    expect(() => pool.check()).toThrow('unreachable');
  }
});
