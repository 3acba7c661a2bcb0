import { readFileSync } from 'node:fs';
import { Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { denseSpectrum, directionsFor, energyShare, productSpectrum, subspaceSimilarity } from './spectrum.js';
import { goldenRoot } from './testing.js';

const rng = new Rng(4);
const random = (count: number): Float64Array => Float64Array.from({ length: count }, () => rng.normal());

/** Orthonormal rows [count, length]. */
function frame(count: number, length: number): Float64Array {
  const rows = random(count * length);
  for (let k = 0; k < count; k++) {
    const row = rows.subarray(k * length, (k + 1) * length);
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < k; j++) {
        const other = rows.subarray(j * length, (j + 1) * length);
        const part = row.reduce((sum, value, i) => sum + value * (other[i] ?? NaN), 0);
        other.forEach((value, i) => (row[i] = (row[i] ?? NaN) - part * value));
      }
    }
    const norm = Math.hypot(...row);
    row.forEach((value, i) => (row[i] = value / norm));
  }
  return rows;
}

/** Σ σ_k u_k v_kᵀ */
function built(values: readonly number[], u: Float64Array, v: Float64Array): Float64Array {
  const [rows, columns] = [u.length / values.length, v.length / values.length];
  return Float64Array.from({ length: rows * columns }, (_, at) =>
    values.reduce(
      (sum, value, k) =>
        sum + value * (u[k * rows + Math.floor(at / columns)] ?? NaN) * (v[k * columns + (at % columns)] ?? NaN),
      0,
    ),
  );
}

test('finds the singular values that an update was built of, its ranks and energies', () => {
  const values = [8, 4, 2, 1];
  const [u, v] = [frame(4, 20), frame(4, 31)];
  const spectrum = denseSpectrum(built(values, u, v), { outFeatures: 20, inFeatures: 31 });
  expect(spectrum.singularValues).toHaveLength(20);
  spectrum.singularValues.forEach((value, at) => expect(value).toBeCloseTo(values[at] ?? 0, 9));
  expect(spectrum.norm).toBeCloseTo(Math.sqrt(85), 9);
  expect(spectrum.stableRank).toBeCloseTo(85 / 64, 9);
  const shares = values.map((value) => value / 15);
  expect(spectrum.effectiveRank).toBeCloseTo(
    Math.exp(-shares.reduce((sum, share) => sum + share * Math.log(share), 0)),
    6,
  );
  expect([1, 2, 4, 20].map((r) => energyShare(spectrum, r))).toEqual(
    [64 / 85, 80 / 85, 1, 1].map((share) => expect.closeTo(share, 9) as unknown),
  );
  expect([0.5, 0.9, 0.99, 1].map((share) => directionsFor(spectrum, share))).toEqual([1, 2, 4, 4]);
  // The same span, whichever side it is looked at from.
  expect(subspaceSimilarity({ vectors: spectrum.left, length: 20 }, { vectors: u, length: 20 }, [4, 4])).toBeCloseTo(
    1,
    9,
  );
  expect(subspaceSimilarity({ vectors: spectrum.right, length: 31 }, { vectors: v, length: 31 }, [2, 4])).toBeCloseTo(
    1,
    9,
  );
  expect(subspaceSimilarity({ vectors: spectrum.left, length: 20 }, { vectors: u, length: 20 }, [1, 1])).toBeCloseTo(
    1,
    9,
  );
});

test('an update of nothing has rank 0 and no direction', () => {
  const spectrum = denseSpectrum(new Float32Array(12), { outFeatures: 3, inFeatures: 4 });
  expect([
    spectrum.norm,
    spectrum.effectiveRank,
    spectrum.stableRank,
    energyShare(spectrum, 2),
    directionsFor(spectrum, 0.9),
  ]).toEqual([0, 0, 0, 0, 0]);
});

test('beyond 512 rows and columns the first values are found, and the rest is known by its energy alone', () => {
  const values = Array.from({ length: 12 }, (_, k) => 2 ** -k);
  const [u, v] = [frame(12, 520), frame(12, 530)];
  const spectrum = denseSpectrum(built(values, u, v), { outFeatures: 520, inFeatures: 530, rank: 5 });
  expect(spectrum.exact).toBe(false);
  expect(spectrum.singularValues).toHaveLength(5);
  spectrum.singularValues.forEach((value, at) => expect(value).toBeCloseTo(values[at] ?? 0, 7));
  expect(spectrum.norm).toBeCloseTo(Math.hypot(...values), 9);
  expect([spectrum.effectiveRank, energyShare(spectrum, 6), directionsFor(spectrum, 0.9999999)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(energyShare(spectrum, 2)).toBeCloseTo(1.25 / Math.hypot(...values) ** 2, 6);
});

interface Golden {
  readonly cases: readonly {
    readonly out: number;
    readonly in: number;
    readonly rank: number;
    readonly scaling: number;
    readonly delta: readonly number[];
    readonly a: readonly number[];
    readonly b: readonly number[];
    readonly full: Answers;
    readonly lora: Answers;
    /** φ of left and of right singular vectors, full against LoRA. */
    readonly similarity: readonly {
      readonly i: number;
      readonly j: number;
      readonly left: number;
      readonly right: number;
    }[];
  }[];
}

interface Answers {
  readonly singularValues: readonly number[];
  readonly norm: number;
  readonly effectiveRank: number;
}

test('spectra and similarities are those of torch', () => {
  const { cases } = JSON.parse(readFileSync(`${goldenRoot}../spectrum.json`, 'utf8')) as Golden;
  expect(cases.length).toBeGreaterThan(2);
  for (const { out, in: input, rank, scaling, delta, a, b, full, lora, similarity } of cases) {
    const sizes = { outFeatures: out, inFeatures: input };
    const dense = denseSpectrum(Float32Array.from(delta), sizes);
    const product = productSpectrum({ ...sizes, a: Float32Array.from(a), b: Float32Array.from(b), rank }, scaling);
    for (const [found, expected] of [
      [dense, full],
      [product, lora],
    ] as const) {
      found.singularValues.forEach((value, at) =>
        expect(Math.abs(value - (expected.singularValues[at] ?? NaN))).toBeLessThan(1e-9 * expected.norm),
      );
      expect(found.norm / expected.norm).toBeCloseTo(1, 9);
      expect(found.effectiveRank).toBeCloseTo(expected.effectiveRank, 6);
    }
    for (const { i, j, left, right } of similarity) {
      expect(
        subspaceSimilarity({ vectors: dense.left, length: out }, { vectors: product.left, length: out }, [i, j]),
      ).toBeCloseTo(left, 8);
      expect(
        subspaceSimilarity({ vectors: dense.right, length: input }, { vectors: product.right, length: input }, [i, j]),
      ).toBeCloseTo(right, 8);
    }
  }
});
