import { Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { leadingEigen, trailingEigen } from './symmetricEigen.js';

/** Q·diag(values)·Qᵀ with Q = I − 2uuᵀ, which is its own inverse: its eigenvectors are Q's columns. */
function made(
  size: number,
  value: (at: number) => number,
): { matrix: Float32Array; vector: (at: number) => Float64Array } {
  const rng = new Rng(size);
  const raw = Float64Array.from({ length: size }, () => rng.normal());
  const length = Math.hypot(...raw);
  const u = raw.map((part) => part / length);
  const q = (i: number, k: number): number => (i === k ? 1 : 0) - 2 * (u[i] ?? NaN) * (u[k] ?? NaN);
  // QΛQᵀ = Λ − 2uuᵀΛ − 2Λuuᵀ + 4(uᵀΛu)uuᵀ
  const middle = u.reduce((sum, part, k) => sum + part * part * value(k), 0);
  const matrix = Float32Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size];
    const [x, y] = [u[i] ?? NaN, u[j] ?? NaN];
    return (i === j ? value(i) : 0) - 2 * x * y * (value(i) + value(j)) + 4 * middle * x * y;
  });
  return { matrix, vector: (k) => Float64Array.from({ length: size }, (_, i) => q(i, k)) };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);

test.each([
  [1, 1],
  [2, 2],
  [37, 37],
  [200, 12],
  [800, 6],
])('%d rows: the %d largest eigenvalues and their vectors', (size, rank) => {
  const value = (at: number): number => 100 * 0.9 ** at + 1e-3;
  const { matrix, vector } = made(size, value);
  const { values, vectors } = leadingEigen(matrix, { size, rank });
  for (let k = 0; k < rank; k++) {
    const own = vectors.subarray(k * size, (k + 1) * size);
    expect(Math.abs((values[k] ?? NaN) - value(k))).toBeLessThan(1e-4);
    for (let other = 0; other <= k; other++)
      expect(dot(own, vectors.subarray(other * size, (other + 1) * size))).toBeCloseTo(other === k ? 1 : 0, 9);
    if (value(k) > 5) expect(Math.abs(dot(own, vector(k)))).toBeGreaterThan(1 - 1e-8);
  }
});

test('the smallest eigenvalues and their vectors, in descending order', () => {
  const { matrix, vector } = made(30, (at) => 40 - at);
  const { values, vectors } = trailingEigen(Float64Array.from(matrix), { size: 30, rank: 3 });
  for (let k = 0; k < 3; k++) {
    expect(values[k]).toBeCloseTo(13 - k, 4);
    expect(Math.abs(dot(vectors.subarray(k * 30, (k + 1) * 30), vector(27 + k)))).toBeGreaterThan(1 - 1e-8);
  }
});

test('a matrix of zeros, one of rank 1, and one value many times', () => {
  expect(Array.from(leadingEigen(new Float32Array(9), { size: 3, rank: 2 }).values)).toEqual([0, 0]);
  const ones = leadingEigen(new Float32Array(16).fill(1), { size: 4, rank: 2 });
  expect(ones.values[0]).toBeCloseTo(4, 12);
  expect(ones.values[1]).toBeCloseTo(0, 12);
  expect(Math.abs(dot(ones.vectors.subarray(0, 4), [0.5, 0.5, 0.5, 0.5]))).toBeCloseTo(1, 12);
  const same = leadingEigen(
    Float32Array.from({ length: 25 }, (_, at) => (at % 6 === 0 ? 3 : 0)),
    { size: 5, rank: 5 },
  );
  same.values.forEach((value) => expect(value).toBeCloseTo(3, 12));
});
