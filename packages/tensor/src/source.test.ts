import { expect, test } from 'vitest';
import { persistent, readTensor } from './index.js';
import { deferred, ReferenceBackend, sourceOf } from './entries/op.js';

test('deferred data is made once, when it is first needed', async () => {
  let calls = 0;
  using values = deferred(() => Float32Array.of(++calls, 2, 3), [3], { name: 'late' });
  expect([values.shape, values.dtype, calls]).toEqual([[3], 'f32', 0]);
  expect(Array.from(await readTensor(values))).toEqual([1, 2, 3]);
  const source = sourceOf(values);
  expect(Array.from(new Float32Array(await source.read(4, 8)))).toEqual([2, 3]);
  source.on(new ReferenceBackend());
  expect(Array.from(await readTensor(values))).toEqual([1, 2, 3]);
  expect(calls).toBe(1);
});

test('deferred data of another size is refused by name', async () => {
  using values = deferred(() => new Float32Array(2), [3], { name: 'late' });
  await expect(readTensor(values)).rejects.toThrow(/late.*12 bytes.*8 bytes/s);
});

test('what is written takes the place of what was deferred', async () => {
  using values = deferred(() => Float32Array.of(1), [1]);
  sourceOf(values).write(Float32Array.of(5));
  expect(Array.from(await readTensor(values))).toEqual([5]);
});

test(
  'a write from a byte on replaces what it covers, on the host and on a device, in every part of what lies in ' +
    'several',
  async () => {
    for (const limits of [undefined, { maxBindingBytes: 8 }]) {
      const memory = new ReferenceBackend();
      if (limits !== undefined) Object.assign(memory, { spec: { ...memory.spec, ...limits } });
      using values = persistent([4, 1]);
      const source = sourceOf(values);
      source.write(Float32Array.of(1, 2), 4);
      expect(Array.from(await readTensor(values))).toEqual([0, 1, 2, 0]);
      source.on(memory);
      source.write(Float32Array.of(7, 8, 9).subarray(1), 4);
      source.write(Float32Array.of(5), 12);
      expect(Array.from(await readTensor(values))).toEqual([0, 8, 9, 5]);
      expect(() => source.write(Float32Array.of(1, 2), 12)).toThrow(/16 bytes.*8 bytes from byte 12/s);
      expect(() => source.write(Float32Array.of(1), 2)).toThrow(/whole words/);
      expect(() => source.write(Float32Array.of(1))).toThrow(/16 bytes/);
    }
  },
);
