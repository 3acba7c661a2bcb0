import type { Batches } from './batches.js';
import { batches } from './batches.js';
import { bucketLength } from './bucketLength.js';
import type { EncodedRow } from './encodeRow.js';
import type { SamplerState } from './sampler.js';
import type { TokenBatch } from './tokenBatch.js';
import { packBatches, padBatch } from './tokenBatch.js';

/** Options of `trainingBatches`: batch size, accumulation, order and packing. */
export interface TrainingBatchOptions {
  /** Rows of one micro-batch. */
  readonly batchSize: number;
  /** Micro-batches of one optimizer step. Default 1. */
  readonly gradientAccumulation?: number;
  /** False: step k takes rows in file order, wrapping. Default true. */
  readonly shuffle?: boolean;
  readonly seed?: number;
  /**
   * Lay the rows of a micro-batch one after another instead of padding each to the longest. Default true; losses do not
   * change.
   */
  readonly packing?: boolean;
  /**
   * Tokens of one packed sequence; rows with more become several micro-batches of the same step. Default 4096, or the
   * longest row of a micro-batch.
   */
  readonly maxPackedTokens?: number;
  /** Where to go on: the `state` of such batches over the same rows, with the same seed. */
  readonly state?: SamplerState | undefined;
}

/** Rows as `train` takes them: each value holds the micro-batches of one optimizer step. Without end. */
export function trainingBatches(rows: readonly EncodedRow[], options: TrainingBatchOptions): Batches<TokenBatch[]> {
  const { batchSize, gradientAccumulation = 1, shuffle, seed, state } = options;
  return batches(rows, {
    batchSize: batchSize * gradientAccumulation,
    shuffle,
    seed,
    state,
    layout: (step) => layOutStep(step, options),
  });
}

/** The micro-batches of a step's rows. */
export function layOutStep(
  step: readonly EncodedRow[],
  { batchSize, packing = true, maxPackedTokens = 4096 }: TrainingBatchOptions,
): TokenBatch[] {
  return chunks(step, batchSize).flatMap((part) =>
    packing ? packBatches(part, { maxTokens: Math.max(maxPackedTokens, longest(part)) }) : [padBatch(part)],
  );
}

/** Steps and tokens that are looked at ahead of a run: a second at most. */
export const farthest = { steps: 10_000, tokens: 20_000_000 };

/**
 * Micro-batches of which one is as large as any of the first `steps` has: compile them first, and the memory that all
 * shapes share is made once. They are those of the step that holds the largest; of a run that is too long to be looked
 * through, the rows that would make the largest together where they are larger than those of its beginning.
 */
export function largestBatches(
  rows: readonly EncodedRow[],
  options: TrainingBatchOptions & { readonly steps: number },
): TokenBatch[] {
  const all = trainingBatches(rows, options);
  const { batchSize, gradientAccumulation = 1, steps } = options;
  const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  const ofStep = Math.max(1, (tokens / rows.length) * batchSize * gradientAccumulation);
  const seen = Math.min(steps, farthest.steps, Math.ceil(farthest.tokens / ofStep));
  let largest: TokenBatch[] = [];
  for (let step = 0; step < seen; step++) {
    const microBatches = all.next().value;
    if (sizeOf(microBatches) > sizeOf(largest)) largest = microBatches;
  }
  if (seen === steps) return largest;
  const longestFirst = [...rows].sort((a, b) => b.ids.length - a.ids.length).slice(0, batchSize);
  const bound = trainingBatches(longestFirst, { ...options, gradientAccumulation: 1, shuffle: false }).next().value;
  return sizeOf(bound) > sizeOf(largest) ? bound : largest;
}

/** The positions of a step's largest micro-batch. */
export function sizeOf(step: readonly TokenBatch[]): number {
  return Math.max(0, ...step.map(({ batch, length }) => batch * length));
}

/** Every row once, packed into sequences of one length, so that one plan serves all. */
export function evaluationBatches(
  rows: readonly EncodedRow[],
  { maxPackedTokens = 1024 }: { readonly maxPackedTokens?: number } = {},
): TokenBatch[] {
  const length = evaluationLength(rows, maxPackedTokens);
  return packBatches(rows, { maxTokens: length, bucket: () => length });
}

/** The length of the sequences that rows are packed into to be evaluated. */
export function evaluationLength(rows: readonly EncodedRow[], maxPackedTokens = 1024): number {
  const total = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  return bucketLength(Math.max(longest(rows), Math.min(total, maxPackedTokens)));
}

function longest(rows: readonly EncodedRow[]): number {
  return rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
}

function chunks<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, at) => values.slice(at * size, (at + 1) * size));
}
