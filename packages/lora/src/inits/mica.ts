import type { Init } from '../init.js';

/**
 * Minor component adaptation (MiCA, arXiv 2604.01694; PEFT's `mica`): with W = U·diag(S)·Vᵀ, B = U[:, −r:], the left
 * singular vectors of the smallest singular values, and A = 0. B is not trained: what is learned goes where W has the
 * least to say, and the optimizer holds half.
 *
 * The vectors come from the smaller of W·Wᵀ and Wᵀ·W, in f64; O(min² · max) and O(min³).
 */
export const mica: Init = {
  keepsBase: true,
  frozen: 'b',
  async from(weight, { rank, inFeatures, outFeatures }) {
    const b = new Float32Array(outFeatures * rank);
    const vectors = await minorVectors(weight, { rank, inFeatures, outFeatures });
    vectors.forEach((vector, k) => vector.forEach((value, row) => (b[row * rank + k] = value)));
    return { a: new Float32Array(rank * inFeatures), b };
  },
};

interface Sizes {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** r vectors [out] of length 1. */
async function minorVectors(weight: Float32Array, { rank, inFeatures, outFeatures }: Sizes): Promise<Float64Array[]> {
  const { trailingEigen } = await import('../numeric/symmetricEigen.js');
  const size = Math.min(inFeatures, outFeatures);
  const tall = outFeatures > inFeatures;
  const at = (row: number, column: number): number => weight[row * inFeatures + column];
  const entry = (i: number, k: number): number => (tall ? at(k, i) : at(i, k));
  const { vectors } = trailingEigen(gram(entry, size, Math.max(inFeatures, outFeatures)), { size, rank });
  return Array.from({ length: rank }, (_, k) => {
    const vector = vectors.subarray(k * size, (k + 1) * size);
    return tall
      ? normalized(Float64Array.from({ length: outFeatures }, (_, row) => rowTimes(at, row, vector)))
      : vector;
  });
}

/** M·Mᵀ [size, size] */
function gram(entry: (i: number, k: number) => number, size: number, length: number): Float64Array {
  const rows = Array.from({ length: size }, (_, i) => Float64Array.from({ length }, (_, k) => entry(i, k)));
  const products = new Float64Array(size * size);
  rows.forEach((row, i) => {
    for (let j = 0; j <= i; j++) products[i * size + j] = products[j * size + i] = dot(row, rows[j]);
  });
  return products;
}

function dot(one: Float64Array, other: Float64Array): number {
  return one.reduce((sum, value, at) => sum + value * other[at], 0);
}

/** One element of W·v, which is σ·u. */
function rowTimes(at: (row: number, column: number) => number, row: number, vector: Float64Array): number {
  return vector.reduce((sum, value, column) => sum + value * at(row, column), 0);
}

/** A direction that W does not have at all stays 0. */
function normalized(vector: Float64Array): Float64Array {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : vector;
}
