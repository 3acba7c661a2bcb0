import { expect, test } from 'vitest';
import { deferred, readTensor, ReferenceBackend, sourceOf } from './index.js';

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
