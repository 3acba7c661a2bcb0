import { expect, test } from 'vitest';
import { readTensor, Rng, tensor } from './index.js';
import { ReferenceBackend, sourceOf } from './entries/op.js';
import { rowPieces } from './rowPieces.js';

const limits = (bytes: number): { maxBindingBytes: number; maxBufferBytes: number } => ({
  maxBindingBytes: bytes,
  maxBufferBytes: 2 * bytes,
});

test.each([
  { shape: [151936, 896], bytes: 2 ** 27 },
  { shape: [128256, 4096], bytes: 2 ** 27 },
  { shape: [300, 9], bytes: 4096 },
  { shape: [5, 1000], bytes: 4096 },
  { shape: [70000], bytes: 65536 },
])('pieces cover all rows of $shape once, and each fits $bytes bytes in f32', ({ shape, bytes }) => {
  const pieces = rowPieces({ shape, dtype: 'bf16' }, limits(bytes)) ?? [];
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  let next = 0;
  for (const { start, rows } of pieces) {
    expect([start, rows > 0, rows * width * 4 <= bytes]).toEqual([next, true, true]);
    next += rows;
  }
  expect(next).toBe(shape[0]);
  expect(pieces.length).toBeLessThan(2 + (shape.reduce((a, b) => a * b) * 8) / bytes);
});

test('pieces of a wide vocabulary begin where 8-bit moments have whole blocks and aligned scales', () => {
  const pieces = rowPieces({ shape: [151936, 896], dtype: 'f32' }, limits(2 ** 27)) ?? [];
  expect(pieces.length).toBe(5);
  for (const { start } of pieces) expect((start * 896) % 8192).toBe(0);
});

test('a row beyond the limit has no pieces', () => {
  expect(rowPieces({ shape: [3, 2000], dtype: 'f32' }, limits(4096))).toBeUndefined();
});

test.each(['f32', 'bf16'] as const)('%s data in several buffers is written, read and freed as one', async (dtype) => {
  const backend = new ReferenceBackend(limits(4096));
  const rng = new Rng(4);
  const values =
    dtype === 'f32'
      ? Float32Array.from({ length: 2700 }, () => rng.normal())
      : Uint16Array.from({ length: 2700 }, () => rng.integer(65536));
  const width = values.BYTES_PER_ELEMENT;
  const table = tensor(values.slice(), [300, 9], { dtype, name: 'table' });
  const source = sourceOf(table);
  source.on(backend);
  expect(backend.memory).toMatchObject({ buffers: source.piecesOn(backend.spec)?.length, bytes: 2700 * width });
  expect(backend.memory.buffers).toBeGreaterThan(1);
  expect(await readTensor(table)).toEqual(values);
  for (const [offset, count] of [
    [0, 1],
    [570, 12],
    [576, 5],
    [10, 2690],
  ] as const) {
    expect([...new Uint8Array(await source.read(offset * width, count * width))]).toEqual([
      ...new Uint8Array(values.buffer, offset * width, count * width),
    ]);
  }
  const others = values.slice().reverse();
  source.write(others);
  expect(await readTensor(table)).toEqual(others);
  expect(() => source.on(new ReferenceBackend())).toThrow(/data on reference/);
  table.dispose();
  expect(backend.memory.buffers).toBe(0);
});
