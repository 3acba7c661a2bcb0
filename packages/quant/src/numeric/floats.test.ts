import { fromNumbers, Rng } from '@lowrank/tensor';
import { fromF16, toF16 } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { floats, narrowing, throughF16, widen } from './floats.js';

const awkward = [
  0,
  -0,
  1,
  -1,
  65504,
  65519.99,
  2 ** -14,
  2 ** -14 - 2 ** -25,
  2 ** -24,
  2 ** -25,
  1.5 * 2 ** -24,
  2.5 * 2 ** -24,
  1e-30,
  -1e-8,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  -6.1e-5,
];

test('16-bit numbers are widened, whichever they are', () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  expect(widen(all, 'f16')).toEqual(Float32Array.from(all, fromF16));
  const wide = widen(all, 'bf16');
  expect(new Uint32Array(wide.buffer)).toEqual(Uint32Array.from(all, (bits) => bits << 16));
  const scratch = new Float32Array(10);
  expect(widen(all.subarray(0, 7), 'f16', scratch).buffer).toBe(scratch.buffer);
  const f32 = Float32Array.of(1, 2);
  expect(widen(f32, 'f32')).toBe(f32);
});

test('rounding to halves is that of the conversion', () => {
  const rng = new Rng(4);
  const x = Float32Array.of(
    ...awkward,
    ...awkward.map((value) => -value),
    ...Array.from({ length: 4000 }, () => rng.normal() * 10 ** (6 * rng.uniform() - 7)),
  );
  // The sign of a zero is lost.
  expect(throughF16(x, new Float32Array(x.length + 3)).map((value) => value + 0)).toEqual(
    Float32Array.from(x, (value) => fromF16(toF16(value)) + 0),
  );
});

test('numbers are narrowed once', () => {
  const x = Float32Array.of(1.0001, -3.3e-6, 1e5);
  for (const dtype of ['f16', 'bf16'] as const)
    expect(Uint16Array.from(x, narrowing(dtype))).toEqual(fromNumbers(x, dtype));
  expect([floats('f32', 2), floats('bf16', 2)]).toEqual([new Float32Array(2), new Uint16Array(2)]);
});
