import { effectiveRank } from './effectiveRank.js';
import { productSvd } from './numeric/productSvd.js';
import type { LowRankProduct } from './numeric/productSvd.js';
import type { TruncatedSvd } from './numeric/svd.js';
import { truncatedSvd } from './numeric/svd.js';

/** What singular values say of an update ΔW [out, in] of a layer. */
export interface Spectrum {
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** ‖ΔW‖, Frobenius: of all of it, also where only the first singular values are known. */
  readonly norm: number;
  /** Descending. */
  readonly singularValues: readonly number[];
  /** Whether those are all; else the first, by a randomized decomposition. */
  readonly exact: boolean;
  /**
   * exp of the entropy of the singular values' shares (Roy and Vetterli 2007); undefined where they are not all known.
   */
  readonly effectiveRank: number | undefined;
  /** ‖ΔW‖² / σ₁²: a lower bound of the rank that small values do not move; 0 for ΔW = 0. */
  readonly stableRank: number;
  /** Singular vectors of `singularValues`, one after the other: [k, out] and [k, in]. */
  readonly left: Float64Array;
  readonly right: Float64Array;
}

/** Options of the singular values of an update: the matrix's shape and how exact the result is. */
export interface SpectrumOptions {
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Singular values that are found of a matrix too large for all of them. Default 64. */
  readonly rank?: number | undefined;
  readonly seed?: number | undefined;
}

/** Up to so many rows or columns, whichever are fewer, all singular values are found. */
export const largestExactSpectrum = 512;
const randomizedSteps = 6;

/**
 * The spectrum of a dense ΔW [out, in], in f64: exact where min(out, in) ≤ 512, else the first `rank` by block Krylov
 * iteration.
 *
 * @throws LowrankError `lora.svd` where ΔW has NaN or infinity
 */
export function denseSpectrum(
  delta: Float32Array | Float64Array,
  { outFeatures, inFeatures, rank = 64, seed = 0 }: SpectrumOptions,
): Spectrum {
  const smaller = Math.min(outFeatures, inFeatures);
  const exact = smaller <= largestExactSpectrum;
  const found =
    exact && Math.max(outFeatures, inFeatures) >= 2 * smaller
      ? oblongSvd(delta, outFeatures, inFeatures)
      : truncatedSvd(delta, {
          rows: outFeatures,
          columns: inFeatures,
          rank: exact ? smaller : Math.min(rank, smaller),
          seed,
          iterations: exact ? undefined : randomizedSteps,
        });
  return spectrumOf(found, { outFeatures, inFeatures, exact, norm: frobenius(delta) });
}

/**
 * All of a matrix with one side at least twice as long as the other: the long side is made orthonormal first, so that
 * only a square is decomposed.
 */
function oblongSvd(delta: Float32Array | Float64Array, outFeatures: number, inFeatures: number): TruncatedSvd {
  const rank = Math.min(outFeatures, inFeatures);
  const identity = Float64Array.from({ length: rank * rank }, (_, at) => (at % (rank + 1) === 0 ? 1 : 0));
  if (!delta.every(Number.isFinite)) return truncatedSvd(delta, { rows: outFeatures, columns: inFeatures, rank });
  return productSvd({
    a: outFeatures > inFeatures ? identity : delta,
    b: outFeatures > inFeatures ? delta : identity,
    rank,
    inFeatures,
    outFeatures,
  });
}

function frobenius(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

/** The spectrum of s·B·A, from the factors. */
export function productSpectrum(product: LowRankProduct, scaling: number): Spectrum {
  const { outFeatures, inFeatures } = product;
  const { u, s, v } = productSvd(product);
  const values = s.map((value) => Math.abs(scaling) * value);
  return spectrumOf({ u, s: values, v }, { outFeatures, inFeatures, exact: true, norm: Math.hypot(...values) });
}

function spectrumOf(
  { u, s, v }: ReturnType<typeof truncatedSvd>,
  {
    norm,
    exact,
    ...sizes
  }: { readonly outFeatures: number; readonly inFeatures: number; readonly norm: number; readonly exact: boolean },
): Spectrum {
  const singularValues = Array.from(s);
  const [first = 0] = singularValues;
  return {
    ...sizes,
    norm,
    singularValues,
    exact,
    effectiveRank: exact ? effectiveRank(singularValues) : undefined,
    stableRank: first === 0 ? 0 : (norm / first) ** 2,
    left: u,
    right: v,
  };
}

/**
 * The share of ‖ΔW‖² in the first `directions` singular directions; 0 for ΔW = 0, undefined where they are not known.
 */
export function energyShare(
  { norm, singularValues, exact }: Pick<Spectrum, 'norm' | 'singularValues' | 'exact'>,
  directions: number,
): number | undefined {
  if (norm === 0) return 0;
  if (!exact && directions > singularValues.length) return undefined;
  return Math.min(1, singularValues.slice(0, directions).reduce((sum, value) => sum + value * value, 0) / norm ** 2);
}

/**
 * The smallest number of singular directions with this share of ‖ΔW‖²; 0 for ΔW = 0, undefined where those that are
 * known have less.
 */
export function directionsFor(
  { norm, singularValues }: Pick<Spectrum, 'norm' | 'singularValues'>,
  share: number,
): number | undefined {
  if (norm === 0) return 0;
  let energy = 0;
  const at = singularValues.findIndex((value) => (energy += value * value) >= share * norm ** 2 * (1 - 1e-12));
  return at < 0 ? undefined : at + 1;
}

/** Orthonormal vectors, or zeros, of one length, one after the other. */
export interface Directions {
  readonly vectors: Float64Array;
  readonly length: number;
}

/**
 * φ(i, j) = ‖UᵢᵀVⱼ‖² / min(i, j): how much of the smaller of two spans lies in the other, from 0 to 1, with Uᵢ the
 * first i of one set of singular vectors and Vⱼ the first j of the other (Hu et al. 2021, section 7.2 and appendix G).
 * Two spans drawn at random have max(i, j)/length in expectation.
 */
export function subspaceSimilarity(first: Directions, second: Directions, [i, j]: readonly [number, number]): number {
  const { length } = first;
  let total = 0;
  for (let a = 0; a < i; a++) {
    for (let b = 0; b < j; b++) {
      let product = 0;
      for (let k = 0; k < length; k++)
        product += (first.vectors[a * length + k] ?? NaN) * (second.vectors[b * length + k] ?? NaN);
      total += product * product;
    }
  }
  return total / Math.min(i, j);
}
