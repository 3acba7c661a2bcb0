import { LowrankError } from '@lowrank/errors';
import type { EncodedRow } from './encodeRow.js';
import type { SamplerState } from './sampler.js';
import { createSampler } from './sampler.js';
import type { TokenBatch } from './tokenBatch.js';
import { packBatch } from './tokenBatch.js';

/** Options of `batches`: how rows become micro-batches. */
export interface BatchesOptions<T> {
  /** Rows in each batch. */
  readonly batchSize: number;
  /** False: batch k takes rows in file order, wrapping. Default true. */
  readonly shuffle?: boolean;
  readonly seed?: number;
  /** Where to go on: a `state` saved earlier, with the same rows and seed. */
  readonly state?: SamplerState;
  /** How rows become a batch: packBatch by default, padBatch, or a function of your own. */
  readonly layout?: (rows: readonly EncodedRow[]) => T;
}

/** An endless iterator over batches. */
export interface Batches<T> extends IterableIterator<T> {
  next(): { done: false; value: T };
  /** Where it stands: save it with a checkpoint, hand it in again to go on with the next batch. */
  readonly state: SamplerState;
}

export function batches(
  rows: readonly EncodedRow[],
  options: BatchesOptions<TokenBatch> & { readonly layout?: undefined },
): Batches<TokenBatch>;
export function batches<T>(
  rows: readonly EncodedRow[],
  options: BatchesOptions<T> & { readonly layout: (rows: readonly EncodedRow[]) => T },
): Batches<T>;
/**
 * Batches for training, without end. Every batch has `batchSize` rows: at the end of an epoch it goes on with the first
 * rows of the next.
 *
 * @throws LowrankError `data.batchSize`, and what createSampler throws
 */
export function batches(rows: readonly EncodedRow[], options: BatchesOptions<unknown>): Batches<unknown> {
  const { batchSize, layout = packBatch } = options;
  checkBatchSize(batchSize);
  const sampler = createSampler({
    rows: rows.length,
    shuffle: options.shuffle,
    seed: options.seed,
    state: options.state,
  });
  return {
    next: () => ({ done: false, value: layout(sampler.take(batchSize).flatMap((index) => rows[index] ?? [])) }),
    get state() {
      return sampler.state;
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}

export function checkBatchSize(batchSize: number): void {
  if (Number.isSafeInteger(batchSize) && batchSize >= 1) return;
  throw new LowrankError({
    code: 'data.batchSize',
    what: 'the batch size',
    expected: 'a whole number of at least 1',
    got: String(batchSize),
  });
}
