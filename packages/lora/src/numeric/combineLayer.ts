import { LowrankError } from '@lowrank/errors';
import { Rng } from '@lowrank/tensor';
import type { LoraMatrices } from '../loraAdapter.js';
import { productSvd } from './productSvd.js';
import { magnitudePrune, randomPrune } from './prune.js';
import { truncatedSvd } from './svd.js';
import { tiesMerge, weightedSum } from './ties.js';
import type { MajoritySign } from './ties.js';

/**
 * What a method does: how it thins the values out first, whether it elects signs, and what it works on: A and B apart,
 * the whole ΔW, or neither.
 */
export interface Rule {
  readonly on: 'factors' | 'delta' | 'product' | 'cat';
  readonly prune?: 'magnitude' | 'random';
  readonly elect?: true;
}

export const rules = {
  cat: { on: 'cat' },
  linear: { on: 'factors' },
  svd: { on: 'product' },
  ties: { on: 'factors', prune: 'magnitude', elect: true },
  ties_svd: { on: 'delta', prune: 'magnitude', elect: true },
  dare_linear: { on: 'factors', prune: 'random' },
  dare_linear_svd: { on: 'delta', prune: 'random' },
  dare_ties: { on: 'factors', prune: 'random', elect: true },
  dare_ties_svd: { on: 'delta', prune: 'random', elect: true },
  magnitude_prune: { on: 'factors', prune: 'magnitude' },
  magnitude_prune_svd: { on: 'delta', prune: 'magnitude' },
} as const satisfies Record<string, Rule>;

/** PEFT's combination types. */
export type CombineMethod = keyof typeof rules;

export interface CombineSettings {
  /** Default: cat, which is exact. */
  readonly method?: CombineMethod | undefined;
  /** The share of values kept, above 0, at most 1: wanted by ties, dare and magnitude_prune. */
  readonly density?: number | undefined;
  /** Of ties and dare_ties; default: total. */
  readonly majoritySign?: MajoritySign | undefined;
  /** Of svd and the …_svd forms: the rank of the result; default: the largest among the sources, layer by layer. */
  readonly rank?: number | undefined;
  /** Of dare's draws, and of the decomposition of large matrices; default 0. */
  readonly seed?: number | undefined;
}

/** One source's share in a layer. */
export interface WeightedPart {
  readonly matrices: LoraMatrices;
  readonly weight: number;
  /** alpha/r or alpha/√r of that layer in that source. */
  readonly scaling: number;
  readonly name: string;
}

interface LayerOptions extends CombineSettings {
  readonly method: CombineMethod;
  /** Its number: `dare` draws anew for each layer. */
  readonly layer: number;
}

/** One layer of several sources by a method; the parts fit together. */
export function combineLayer(parts: readonly WeightedPart[], options: LayerOptions): LoraMatrices {
  const { on }: Rule = rules[options.method];
  if (on === 'cat') return narrowed(concatenated(parts), parts);
  if (on === 'factors') return fromFactors(parts, options);
  const largest = Math.max(...parts.map(({ matrices }) => matrices.rank));
  const { inFeatures, outFeatures } = sizesOf(parts);
  const rank = options.rank ?? Math.min(largest, inFeatures, outFeatures);
  return decomposed(on === 'product' ? concatenated(parts) : deltaOf(parts, options), {
    parts,
    rank,
    seed: options.seed,
  });
}

interface Factors {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly rank: number;
}

/** A = [w_i·s_i·A_i], row under row; B = [B_i], column beside column. */
function concatenated(parts: readonly WeightedPart[]): Factors {
  const { inFeatures, outFeatures } = sizesOf(parts);
  const rank = parts.reduce((sum, { matrices }) => sum + matrices.rank, 0);
  const a = new Float64Array(rank * inFeatures);
  const b = new Float64Array(outFeatures * rank);
  let start = 0;
  for (const { matrices, weight, scaling } of parts) {
    for (let at = 0; at < matrices.a.length; at++) a[start * inFeatures + at] = weight * scaling * matrices.a[at];
    for (let out = 0; out < outFeatures; out++)
      b.set(matrices.b.subarray(out * matrices.rank, (out + 1) * matrices.rank), out * rank + start);
    start += matrices.rank;
  }
  return { a, b, rank };
}

function fromFactors(parts: readonly WeightedPart[], options: LayerOptions): LoraMatrices {
  const rank = parts[0]?.matrices.rank ?? 0;
  const factors = parts.map(({ weight, scaling }) => weight * scaling);
  // The sign goes to one side: on both it would be lost.
  const [a, b] = [
    combineValues(
      parts.map(({ matrices }) => matrices.a),
      factors.map((factor) => Math.sign(factor) * Math.sqrt(Math.abs(factor))),
      { ...options, half: 0 },
    ),
    combineValues(
      parts.map(({ matrices }) => matrices.b),
      factors.map((factor) => Math.sqrt(Math.abs(factor))),
      { ...options, half: 1 },
    ),
  ];
  return narrowed({ a, b, rank }, parts);
}

/** Beyond so many numbers in all ΔW of a layer, the forms that need them whole are refused. */
const largestDeltas = 2 ** 30;

/** What a method makes of the ΔW_i [out, in] themselves. */
function deltaOf(parts: readonly WeightedPart[], options: LayerOptions): Float64Array {
  const { inFeatures, outFeatures } = sizesOf(parts);
  if (parts.length * inFeatures * outFeatures > largestDeltas)
    throw new LowrankError({
      code: 'lora.combineShape',
      what: `${options.method} of ${parts.length} matrices [${outFeatures}, ${inFeatures}]`,
      expected: `at most ${largestDeltas} numbers`,
      got: String(parts.length * inFeatures * outFeatures),
      remedy: 'Use the method without _svd, cat or svd: they form no ΔW.',
    });
  const deltas = parts.map(({ matrices: { a, b, rank }, scaling }) => {
    const delta = new Float32Array(outFeatures * inFeatures);
    const row = new Float64Array(inFeatures);
    for (let out = 0; out < outFeatures; out++) {
      row.fill(0);
      for (let k = 0; k < rank; k++) {
        const factor = scaling * b[out * rank + k];
        for (let at = 0; at < inFeatures; at++) row[at] += factor * a[k * inFeatures + at];
      }
      delta.set(row, out * inFeatures);
    }
    return delta;
  });
  return combineValues(
    deltas,
    parts.map(({ weight }) => weight),
    { ...options, half: 0 },
  );
}

function combineValues(
  values: readonly Float32Array[],
  weights: readonly number[],
  { method, density = 1, majoritySign = 'total', seed = 0, layer, half }: LayerOptions & { readonly half: 0 | 1 },
): Float64Array {
  const { prune, elect }: Rule = rules[method];
  const thinned = values.map((each, source) => {
    if (prune === 'magnitude') return magnitudePrune(each, density);
    return prune === 'random'
      ? randomPrune(each, density, new Rng(seed, (layer * values.length + source) * 2 + half))
      : each;
  });
  return elect === true ? tiesMerge(thinned, weights, majoritySign) : weightedSum(thinned, weights);
}

/** Beyond so many rows and columns the decomposition of a ΔW is randomized, in so many steps. */
const largestExact = 256;
const randomizedSteps = 6;

/** B = U·diag(s) and A = Vᵀ of the best approximation of a rank. */
function decomposed(
  given: Factors | Float64Array,
  {
    parts,
    rank,
    seed,
  }: { readonly parts: readonly WeightedPart[]; readonly rank: number; readonly seed: number | undefined },
): LoraMatrices {
  const { inFeatures, outFeatures } = sizesOf(parts);
  const { u, s, v } =
    given instanceof Float64Array
      ? truncatedSvd(given, {
          rows: outFeatures,
          columns: inFeatures,
          rank,
          seed,
          ...(Math.min(outFeatures, inFeatures) > largestExact ? { iterations: randomizedSteps } : {}),
        })
      : productSvd({ ...given, inFeatures, outFeatures });
  const a = new Float64Array(rank * inFeatures);
  const b = new Float64Array(outFeatures * rank);
  // A product of a smaller rank than is wanted leaves zeros.
  for (let k = 0; k < Math.min(rank, s.length); k++) {
    a.set(v.subarray(k * inFeatures, (k + 1) * inFeatures), k * inFeatures);
    for (let out = 0; out < outFeatures; out++) b[out * rank + k] = u[k * outFeatures + out] * s[k];
  }
  return narrowed({ a, b, rank }, parts);
}

function narrowed({ a, b, rank }: Factors, parts: readonly WeightedPart[]): LoraMatrices {
  return { a: Float32Array.from(a), b: Float32Array.from(b), rank, ...sizesOf(parts) };
}

export function sizesOf([first]: readonly WeightedPart[]): Pick<
  LoraMatrices,
  'inFeatures' | 'outFeatures' | 'embedding'
> {
  if (first === undefined) return { inFeatures: 0, outFeatures: 0 };
  const { inFeatures, outFeatures, embedding } = first.matrices;
  return { inFeatures, outFeatures, ...(embedding === true ? { embedding } : {}) };
}
