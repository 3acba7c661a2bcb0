import { LowrankError } from '@lowrank/errors';
import { leadingEigen } from './numeric/symmetricEigen.js';

/** Second moments of a layer's inputs, from which EVA takes its directions. */
export interface InputMoments {
  /** Σ (x − μ)(x − μ)ᵀ over the inputs counted, [in, in] */
  readonly scatter: Float32Array;
  /** in */
  readonly width: number;
  /** Directions wanted. */
  readonly rank: number;
}

/** What the inputs of a layer vary in: their principal components. */
export interface PrincipalDirections {
  /** `[rank, in]`: of length 1, orthogonal, one after the other. */
  readonly directions: Float64Array;
  /** [rank], descending: singular values of the centered inputs. */
  readonly values: Float64Array;
  /** `[rank]`: the share of the variance that each explains. */
  readonly shares: Float64Array;
}

/**
 * The leading principal directions of a layer's inputs: eigenvectors of their scatter, the right singular vectors of X
 * − μ. PEFT comes near to them batch by batch (its IncrementalPCA over svd_lowrank); here they are exact up to 512
 * inputs, and beyond that found in a block Krylov space of the scatter itself.
 */
export function principalDirections({ scatter, width, rank }: InputMoments): PrincipalDirections {
  const { values, vectors } = leadingEigen(scatter, { size: width, rank });
  let total = 0;
  for (let i = 0; i < width; i++) total += scatter[i * width + i] ?? NaN;
  return {
    directions: vectors,
    values: values.map(Math.sqrt),
    shares: values.map((value) => (total > 0 ? value / total : 0)),
  };
}

/** A layer that takes part in the distribution of ranks. */
export interface EvaLayer {
  readonly path: string;
  /** Its rank as configured: the budget is the sum. */
  readonly rank: number;
  /** Layers with one input have one name here. */
  readonly input: string;
}

/**
 * How many directions of each input are looked at: the largest rank of its layers, times rho (rounded as Python does),
 * and no more than the input has.
 */
export function evaDirections(
  layers: readonly EvaLayer[],
  rho: number,
  widths: ReadonlyMap<string, number>,
): Map<string, number> {
  const wanted = new Map<string, number>();
  for (const { path, rank, input } of layers) {
    const width = widths.get(input) ?? 0;
    if (rank > width)
      throw new LowrankError({
        code: 'lora.config',
        what: `EVA at ${path}`,
        expected: `a rank up to ${width}, the layer’s inputs`,
        got: String(rank),
        remedy: 'Lower r, or this layer’s rank in the rank pattern.',
      });
    wanted.set(input, Math.min(width, Math.max(wanted.get(input) ?? 0, roundHalfEven(rank * rho))));
  }
  return wanted;
}

function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/**
 * EVA's ranks (Paischer et al. 2024, section 3.3): of the directions of all layers as many as the configured ranks
 * together, those that explain most of their input's variance. A layer may get none. Layers that share an input have
 * equal shares; where only some of them fit, those that come first get theirs. (PEFT leaves that to a sort that is not
 * stable.)
 */
export function evaRanks(layers: readonly EvaLayer[], shares: ReadonlyMap<string, Float64Array>): Map<string, number> {
  const candidates = layers
    .flatMap(({ path, input }) => Array.from(shares.get(input) ?? [], (share) => ({ path, share })))
    .filter(({ share }) => share > 0);
  const budget = layers.reduce((sum, { rank }) => sum + rank, 0);
  const ranks = new Map(layers.map(({ path }) => [path, 0]));
  for (const { path } of candidates.sort((a, b) => b.share - a.share).slice(0, budget))
    ranks.set(path, (ranks.get(path) ?? 0) + 1);
  return ranks;
}

/** A [rank, in] of a layer: its first directions, whitened or not. */
export function evaMatrix({ directions, values }: PrincipalDirections, rank: number, whiten: boolean): Float32Array {
  const width = directions.length / values.length;
  return Float32Array.from(directions.subarray(0, rank * width), (value, at) =>
    whiten ? value / Math.sqrt(values[Math.floor(at / width)] ?? NaN) : value,
  );
}
