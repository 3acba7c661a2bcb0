import type { RandomState, Tensor } from '@lowrank/tensor';
import { add, cast, mul, randomUniform, reshape, rsqrt, slice, sub } from '@lowrank/tensor';

/** Sets the noise apart from every dropout, whose streams count from 0. */
const stream = 0x6e656674;

interface Noise {
  readonly alpha: number;
  readonly random: RandomState;
}

let current: Noise | undefined;

/**
 * Traces `fn` as training with noise on the token embeddings (NEFTune; Jain et al. 2023, arXiv:2310.05914). Outside,
 * and with an alpha of 0, there is none.
 */
export function withNeftune<T>(alpha: number, random: RandomState, fn: () => T): T {
  const outer = current;
  current = alpha > 0 ? { alpha, random } : undefined;
  try {
    return fn();
  } finally {
    current = outer;
  }
}

/**
 * Embeddings [B, T, D] plus uniform noise within ±α/√(L·D), L the length of a position's document: that of the paper
 * and of transformers for a row by itself, and the same however rows are packed or padded, which transformers' is not.
 *
 * @param segments i32 [B, T, 2]: first index and one past the last of each position's document
 */
export function noisyEmbeddings(x: Tensor, segments: Tensor | undefined): Tensor {
  if (current === undefined) return x;
  const { alpha, random } = current;
  const [rows = 1, length = 1, width = 1] = x.shape;
  const tokens = segments === undefined ? length : documentLengths(segments, [rows, length, 1]);
  const bound = mul(rsqrt(mul(tokens, width)), alpha);
  return add(x, mul(bound, sub(mul(randomUniform(x.shape, random, stream), 2), 1)));
}

function documentLengths(segments: Tensor, shape: readonly number[]): Tensor {
  const bounds = cast(segments, 'f32');
  return reshape(sub(slice(bounds, 2, 1, 2), slice(bounds, 2, 0, 1)), shape);
}
