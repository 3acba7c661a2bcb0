import type { TruncatedSvd } from './svd.js';
import { truncatedSvd } from './svd.js';

/** The factors of B·A. */
export interface LowRankProduct {
  /** [rank, in] */
  readonly a: Float32Array | Float64Array;
  /** [out, rank] */
  readonly b: Float32Array | Float64Array;
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/**
 * The singular value decomposition of B·A, which is never formed: B = Q·R and Aᵀ = P·T, so B·A = Q·(R·Tᵀ)·Pᵀ, and only
 * R·Tᵀ [rank, rank] is decomposed. O((in + out)·rank²), in f64.
 *
 * @returns min(rank, in, out) values and vectors; those of value 0 are 0 on one side or both
 * @throws LowrankError `lora.svd` where a factor has NaN or infinity
 */
export function productSvd({ a, b, rank, inFeatures, outFeatures }: LowRankProduct): TruncatedSvd {
  const left = orthonormal(columnsOf(b, rank, outFeatures), rank, outFeatures);
  const right = orthonormal(Float64Array.from(a), rank, inFeatures);
  const core = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < rank; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += left.r[i * rank + k] * right.r[j * rank + k];
      core[i * rank + j] = sum;
    }
  }
  const { u, s, v } = truncatedSvd(core, { rows: rank, columns: rank, rank: Math.min(rank, inFeatures, outFeatures) });
  return {
    u: turned(u, left.q, { count: s.length, rank, length: outFeatures }),
    s,
    v: turned(v, right.q, { count: s.length, rank, length: inFeatures }),
  };
}

/**
 * Vectors x_k = Σ_j r[j, k]·q_j with orthonormal q, by Gram and Schmidt, twice: what rounding leaves the first time is
 * gone the second. A vector with nothing new in it gets a q of zeros.
 */
function orthonormal(
  q: Float64Array,
  count: number,
  length: number,
): { readonly q: Float64Array; readonly r: Float64Array } {
  const r = new Float64Array(count * count);
  for (let k = 0; k < count; k++) {
    const before = norm(q, k * length, length);
    for (let pass = 0; pass < 2; pass++) {
      for (let j = 0; j < k; j++) {
        let part = 0;
        for (let i = 0; i < length; i++) part += q[j * length + i] * q[k * length + i];
        for (let i = 0; i < length; i++) q[k * length + i] -= part * q[j * length + i];
        r[j * count + k] += part;
      }
    }
    const size = norm(q, k * length, length);
    const independent = size > 1e-14 * before;
    r[k * count + k] = independent ? size : Number.isFinite(size) ? 0 : NaN;
    for (let i = 0; i < length; i++) q[k * length + i] = independent ? q[k * length + i] / size : 0;
  }
  return { q, r };
}

function norm(data: Float64Array, start: number, length: number): number {
  let sum = 0;
  for (let i = start; i < start + length; i++) sum += data[i] ** 2;
  return Math.sqrt(sum);
}

/** Σ_j coefficients[i, j]·q_j for each i. */
function turned(
  coefficients: Float64Array,
  q: Float64Array,
  { count, rank, length }: { readonly count: number; readonly rank: number; readonly length: number },
): Float64Array {
  const result = new Float64Array(count * length);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < rank; j++) {
      const factor = coefficients[i * rank + j];
      for (let k = 0; k < length; k++) result[i * length + k] += factor * q[j * length + k];
    }
  }
  return result;
}

/** A matrix [rows, columns], column after column. */
function columnsOf(matrix: Float32Array | Float64Array, columns: number, rows: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = matrix[row * columns + column];
  return result;
}
