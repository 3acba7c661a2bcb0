import { expect, test } from 'vitest';
import { Heap } from './heap.js';
import { KernelId } from './kernelIds.js';
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
    pool.run(records, recorder.count);
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
  pool.run(records, recorder.count);
  expect(heap.bytes[block]).toBe(9);
  expect(heap.bytes[block + bytes - 1]).toBe(9);
  pool.dispose();
});
