import { Rng } from '@lowrank/tensor';
import { describe, expect, test } from 'vitest';
import { truncatedSvd } from './svd.js';
import type { TruncatedSvd } from './svd.js';

const rng = new Rng(6);
const random = (length: number): Float64Array => Float64Array.from({ length }, () => rng.normal());

interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** Σ over k of s·u·vᵀ, or of less of them. */
function product({ u, s, v }: TruncatedSvd, { rows, columns }: Size): Float64Array {
  const result = new Float64Array(rows * columns);
  s.forEach((value, k) =>
    result.forEach(
      (_, i) =>
        (result[i] =
          (result[i] ?? NaN) +
          value * (u[k * rows + Math.floor(i / columns)] ?? NaN) * (v[k * columns + (i % columns)] ?? NaN)),
    ),
  );
  return result;
}

const norm = (values: Float64Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const distance = (a: Float64Array | Float32Array, b: Float64Array): number =>
  norm(b.map((value, i) => value - (a[i] ?? NaN)));

/** Largest deviation of vectors, one after the other, from orthonormal ones. */
function skewness(vectors: Float64Array, length: number): number {
  let worst = 0;
  const count = vectors.length / length;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i; j++) {
      const sum = vectors
        .subarray(i * length, (i + 1) * length)
        .reduce((total, value, at) => total + value * (vectors[j * length + at] ?? NaN), 0);
      worst = Math.max(worst, Math.abs(sum - (i === j ? 1 : 0)));
    }
  }
  return worst;
}

describe('exact', () => {
  test.each([
    [7, 7],
    [23, 9],
    [9, 23],
    [1, 5],
    [5, 1],
    [64, 43],
  ])('%i × %i: all of it is the matrix, with orthonormal vectors and falling values', (rows, columns) => {
    const matrix = random(rows * columns);
    const rank = Math.min(rows, columns);
    const svd = truncatedSvd(matrix, { rows, columns, rank });
    expect(distance(matrix, product(svd, { rows, columns }))).toBeLessThan(1e-12 * norm(matrix));
    expect(skewness(svd.u, rows)).toBeLessThan(1e-11);
    expect(skewness(svd.v, columns)).toBeLessThan(1e-11);
    svd.s.forEach((value, k) => expect(value).toBeLessThanOrEqual(svd.s[k - 1] ?? Infinity));
  });

  test('known singular values, far apart', () => {
    // U·diag(s)·Vᵀ from the vectors of two random matrices.
    const [rows, columns] = [20, 14];
    const { u } = truncatedSvd(random(rows * 6), { rows, columns: 6, rank: 6 });
    const { v } = truncatedSvd(random(6 * columns), { rows: 6, columns, rank: 6 });
    const s = Float64Array.of(1e6, 1e3, 1, 1, 1e-3, 1e-7);
    const matrix = product({ u, s, v }, { rows, columns });
    const found = truncatedSvd(matrix, { rows, columns, rank: 6 });
    s.forEach((value, k) => expect(Math.abs((found.s[k] ?? NaN) - value)).toBeLessThan(1e-9 + 1e-12 * value));
  });

  test('the truncated one is the best: what is missing is the rest of the values', () => {
    const [rows, columns] = [17, 12];
    const matrix = Float32Array.from(random(rows * columns));
    const all = truncatedSvd(matrix, { rows, columns, rank: 12 });
    const few = truncatedSvd(matrix, { rows, columns, rank: 4 });
    expect(few.s).toEqual(all.s.slice(0, 4));
    expect(distance(matrix, product(few, { rows, columns }))).toBeCloseTo(norm(all.s.slice(4)), 9);
  });

  test('a matrix of lower rank, and one of zeros', () => {
    const [rows, columns] = [8, 6];
    const one = truncatedSvd(
      product({ u: random(rows), s: Float64Array.of(1), v: random(columns) }, { rows, columns }),
      { rows, columns, rank: 6 },
    );
    expect(one.s.slice(1).every((value) => value < 1e-12)).toBe(true);
    const zero = truncatedSvd(new Float64Array(48), { rows, columns, rank: 3 });
    expect([...zero.s, ...zero.u, ...zero.v].every((value) => value === 0)).toBe(true);
  });
});

describe('randomized', () => {
  test.each([
    [120, 90],
    [90, 120],
  ])('%i × %i: a flat spectrum is approximated almost as well as can be', (rows, columns) => {
    const matrix = random(rows * columns);
    const rank = 6;
    const best = norm(truncatedSvd(matrix, { rows, columns, rank }).s);
    const found = truncatedSvd(matrix, { rows, columns, rank, iterations: 5, seed: 3 });
    expect(skewness(found.u, rows)).toBeLessThan(1e-11);
    expect(skewness(found.v, columns)).toBeLessThan(1e-9);
    expect(norm(found.s) / best).toBeGreaterThan(0.999);
    expect(norm(found.s) / best).toBeLessThanOrEqual(1 + 1e-12);
    expect(truncatedSvd(matrix, { rows, columns, rank, iterations: 5, seed: 3 })).toEqual(found);
    expect(truncatedSvd(matrix, { rows, columns, rank, iterations: 5, seed: 4 }).u).not.toEqual(found.u);
  });

  test('where the space takes up everything it is exact', () => {
    const [rows, columns] = [30, 12];
    const matrix = random(rows * columns);
    const exact = truncatedSvd(matrix, { rows, columns, rank: 5 });
    const found = truncatedSvd(matrix, { rows, columns, rank: 5, iterations: 3 });
    exact.s.forEach((value, k) => expect(found.s[k]).toBeCloseTo(value, 9));
    expect(distance(product(exact, { rows, columns }), product(found, { rows, columns }))).toBeLessThan(1e-8);
  });

  test('a matrix of lower rank than asked for', () => {
    const [rows, columns] = [40, 50];
    const two = product({ u: random(2 * rows), s: Float64Array.of(3, 1), v: random(2 * columns) }, { rows, columns });
    const found = truncatedSvd(two, { rows, columns, rank: 5, iterations: 2 });
    expect(distance(two, product(found, { rows, columns }))).toBeLessThan(1e-10 * norm(two));
    expect([...truncatedSvd(new Float32Array(2000), { rows, columns, rank: 5, iterations: 2 }).s]).toEqual([
      0, 0, 0, 0, 0,
    ]);
  });
});

test('what cannot be decomposed is refused', () => {
  const size = { rows: 3, columns: 4 };
  for (const rank of [0, 4, 1.5, -1])
    expect(() => truncatedSvd(random(12), { ...size, rank })).toThrow(/a rank from 1 to 3/);
  expect(() => truncatedSvd(random(11), { ...size, rank: 1 })).toThrow(/12 numbers/);
  expect(() => truncatedSvd(random(12).fill(NaN, 5, 6), { ...size, rank: 1 })).toThrow(/finite/);
});
