import { expect, test } from 'vitest';
import { Heap } from './heap.js';

const mebibyte = 2 ** 20;

test('blocks are aligned, zero-filled and apart; freed neighbours join', () => {
  const heap = new Heap({ shared: false, maximumBytes: 16 * mebibyte });
  const blocks = [1, 64, 65, 1000].map((bytes) => heap.allocate(bytes, 'block'));
  expect(blocks.every((address) => address % 64 === 0 && address > 0)).toBe(true);
  expect(new Set(blocks).size).toBe(4);
  const [a = 0, b = 0, c = 0] = blocks;
  heap.bytes.fill(7, a, a + 192);
  heap.free(b);
  heap.free(a);
  heap.free(c);
  const joined = heap.allocate(64 + 64 + 128, 'block');
  expect(joined).toBe(a);
  expect(heap.bytes.subarray(joined, joined + 256).every((byte) => byte === 0)).toBe(true);
});

test.each([false, true])('grows to its limit and no further (shared: %s)', (shared) => {
  const heap = new Heap({ shared, maximumBytes: 16 * mebibyte });
  const first = heap.allocate(3 * mebibyte, 'first');
  heap.bytes[first] = 5;
  const second = heap.allocate(9 * mebibyte, 'second');
  expect(heap.bytes[first]).toBe(5);
  expect(second).toBeGreaterThanOrEqual(first + 3 * mebibyte);
  expect(() => heap.allocate(4 * mebibyte, 'the weights of layer 3')).toThrowError(
    expect.objectContaining({
      name: 'LowrankError',
      code: 'cpu.outOfMemory',
      what: 'memory for the weights of layer 3',
    }) as Error,
  );
  heap.free(second);
  expect(heap.allocate(4 * mebibyte, 'third')).toBe(second);
});

test('many blocks come and go without growing the memory', () => {
  const heap = new Heap({ shared: false, maximumBytes: 64 * mebibyte });
  const live: number[] = [];
  for (let round = 0; round < 2000; round++) {
    live.push(heap.allocate(64 * (1 + ((round * 7919) % 200)), 'block'));
    if (live.length > 50) heap.free(live.splice((round * 31) % live.length, 1)[0] ?? 0);
  }
  expect(heap.memory.buffer.byteLength).toBeLessThan(8 * mebibyte);
});
