import { Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { productSvd } from './productSvd.js';
import { truncatedSvd } from './svd.js';

function product(
  a: Float64Array,
  b: Float64Array,
  [outFeatures, rank, inFeatures]: readonly [number, number, number],
): Float64Array {
  const result = new Float64Array(outFeatures * inFeatures);
  for (let out = 0; out < outFeatures; out++)
    for (let at = 0; at < inFeatures; at++)
      for (let k = 0; k < rank; k++)
        result[out * inFeatures + at] =
          (result[out * inFeatures + at] ?? NaN) + (b[out * rank + k] ?? NaN) * (a[k * inFeatures + at] ?? NaN);
  return result;
}

test.each([
  [7, 3, 5],
  [1, 1, 1],
  [4, 6, 3],
  [9, 4, 2],
] as const)('[%i, %i] · [%i]: the values of the product, and its vectors', (outFeatures, rank, inFeatures) => {
  const rng = new Rng(outFeatures);
  const a = Float64Array.from({ length: rank * inFeatures }, () => rng.normal());
  const b = Float64Array.from({ length: outFeatures * rank }, () => rng.normal());
  const whole = product(a, b, [outFeatures, rank, inFeatures]);
  const count = Math.min(rank, inFeatures, outFeatures);
  const { u, s, v } = productSvd({ a, b, rank, inFeatures, outFeatures });
  truncatedSvd(whole, { rows: outFeatures, columns: inFeatures, rank: count }).s.forEach((value, k) =>
    expect(s[k]).toBeCloseTo(value, 10),
  );
  expect(s.length).toBe(count);
  for (let out = 0; out < outFeatures; out++) {
    for (let at = 0; at < inFeatures; at++) {
      const value = Array.from(s).reduce(
        (sum, size, k) => sum + (u[k * outFeatures + out] ?? NaN) * size * (v[k * inFeatures + at] ?? NaN),
        0,
      );
      expect(value).toBeCloseTo(whole[out * inFeatures + at] ?? NaN, 10);
    }
  }
});

test('factors that depend on each other have fewer values; those of nothing none', () => {
  const a = Float32Array.of(1, 2, 2, 2, 4, 4, 0, 0, 0);
  const { s } = productSvd({ a, b: Float32Array.of(1, 0, 3, 0, 1, 3), rank: 3, inFeatures: 3, outFeatures: 2 });
  // Rows of A are 1 and 2 times (1, 2, 2), of length 3: ΔW = (1, 2)ᵀ·(1, 2, 2).
  expect(s[0]).toBeCloseTo(3 * Math.sqrt(5), 12);
  expect(s[1]).toBeCloseTo(0, 12);
  expect([
    ...productSvd({ a: new Float32Array(6), b: new Float32Array(4), rank: 2, inFeatures: 3, outFeatures: 2 }).s,
  ]).toEqual([0, 0]);
});

test('NaN is refused', () => {
  expect(() =>
    productSvd({ a: Float32Array.of(1, NaN), b: Float32Array.of(1, 1), rank: 1, inFeatures: 2, outFeatures: 2 }),
  ).toThrow(expect.objectContaining({ code: 'lora.svd' }));
});
