import { LowrankError } from '@lowrank/errors';
import { truncatedSvd } from './svd.js';

/** Options of `loftqInit`: the matrix's shape, the rank, and how the base is quantized. */
export interface LoftqOptions {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  /** The factor on BA; above 0. PEFT leaves it out, as if it were 1. */
  readonly scaling: number;
  /** Alternations; PEFT's own number is 1. */
  readonly iterations?: number | undefined;
  /** Quantizes and dequantizes a matrix [rows, columns]. */
  readonly roundTrip: (weight: Float32Array) => Float32Array;
  /** Of the decomposition of large matrices. */
  readonly seed?: number | undefined;
}

/** What `loftqInit` gives: Q and the A, B with Q + s·B·A ≈ W (Li et al. 2023). */
export interface LoftqWeights {
  /** What the base becomes: exactly what the last round trip gave, so that quantizing it again changes nothing. */
  readonly quantized: Float32Array;
  /** [rank, columns] */
  readonly a: Float32Array;
  /** [rows, rank] */
  readonly b: Float32Array;
}

/** Beyond so many rows and columns the decomposition is randomized, in so many steps. */
const largestExact = 256;
const randomizedSteps = 6;

/**
 * LoftQ (Li et al. 2023, algorithm 1): an adapter that takes up what quantization loses. In turn Q ← quantize(W −
 * s·B·A) and s·B·A ← the best approximation of W − Q of that rank, from BA = 0; the singular values are shared out by
 * their roots, B = U√S/√s and A = √S·Vᵀ/√s. The base begins as Q, so Q + s·B·A is nearer to W than quantize(W). As
 * PEFT's `loftq_init`.
 *
 * @param weight [rows, columns]
 * @throws LowrankError `lora.loftq`, `lora.svd`
 */
export function loftqInit(
  weight: Float32Array,
  { rows, columns, rank, scaling, iterations = 1, roundTrip, seed }: LoftqOptions,
): LoftqWeights {
  if (!Number.isInteger(iterations) || iterations < 1)
    throw invalid('iterations', 'a whole number of at least 1', iterations);
  if (!(scaling > 0 && Number.isFinite(scaling))) throw invalid('scaling', 'a number above 0', scaling);
  // A layer narrower than the rank has no more directions: the rest of A and B stays 0.
  const kept = Math.min(rank, rows, columns);
  const large = Math.min(rows, columns) > largestExact;
  const root = Math.sqrt(scaling);
  const [a, b] = [new Float32Array(rank * columns), new Float32Array(rows * rank)];
  let target = weight;
  for (let at = 1; ; at++) {
    const quantized = roundTrip(target);
    const rest = weight.map((value, i) => value - quantized[i]);
    const { u, s, v } = truncatedSvd(rest, {
      rows,
      columns,
      rank: kept,
      seed,
      iterations: large ? randomizedSteps : undefined,
    });
    for (let k = 0; k < kept; k++) {
      const factor = Math.sqrt(s[k]) / root;
      for (let i = 0; i < columns; i++) a[k * columns + i] = factor * v[k * columns + i];
      for (let i = 0; i < rows; i++) b[i * rank + k] = factor * u[k * rows + i];
    }
    if (at === iterations) return { quantized, a, b };
    target = without(weight, { a, b, rows, columns, rank, scaling });
  }
}

/** W − s·B·A */
function without(
  weight: Float32Array,
  {
    a,
    b,
    rows,
    columns,
    rank,
    scaling,
  }: Pick<LoftqWeights, 'a' | 'b'> & Pick<LoftqOptions, 'rows' | 'columns' | 'rank' | 'scaling'>,
): Float32Array {
  const result = new Float32Array(weight.length);
  const product = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    product.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = b[row * rank + k];
      for (let i = 0; i < columns; i++) product[i] += factor * a[k * columns + i];
    }
    for (let i = 0; i < columns; i++) result[row * columns + i] = weight[row * columns + i] - scaling * product[i];
  }
  return result;
}

function invalid(what: string, expected: string, got: number): LowrankError {
  return new LowrankError({ code: 'lora.loftq', what: `LoftQ, ${what}`, expected, got: String(got) });
}
