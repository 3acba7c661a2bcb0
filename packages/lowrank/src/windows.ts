import type { Batches, EncodedRow, TokenBatch } from '@lowrank/data';
import { batches, bucketLength, packBatches, padBatch } from '@lowrank/data';
import type { BatchShape } from '@lowrank/trainer';

export interface WindowOptions {
  /** Rows of one batch. */
  readonly batchSize: number;
  /** Batches of one optimizer step. Default 1. */
  readonly gradientAccumulation?: number;
  /** False: step k takes rows in file order, wrapping. Default true. */
  readonly shuffle?: boolean;
  readonly seed?: number;
  /**
   * Lay the rows of a batch one after another instead of padding each to the longest. Default true; losses do not
   * change.
   */
  readonly packing?: boolean;
  /**
   * Tokens of one packed sequence; a batch with more is laid out as several that are accumulated. Default 4096, or the
   * longest row.
   */
  readonly maxPackedTokens?: number;
}

/** Rows as the trainer takes them: each value holds the batches of one optimizer step. Without end. */
export function trainingWindows(rows: readonly EncodedRow[], options: WindowOptions): Batches<TokenBatch[]> {
  const { batchSize, gradientAccumulation = 1, shuffle, seed, packing = true, maxPackedTokens = 4096 } = options;
  const maxTokens = Math.max(maxPackedTokens, longest(rows));
  const layOut = (batch: readonly EncodedRow[]): TokenBatch[] =>
    packing ? packBatches(batch, { maxTokens }) : [padBatch(batch)];
  return batches(rows, {
    batchSize: batchSize * gradientAccumulation,
    shuffle,
    seed,
    layout: (window) => chunks(window, batchSize).flatMap(layOut),
  });
}

/** The window whose largest batch is the largest of the first `steps`: what to compile first. */
export function largestWindow(
  rows: readonly EncodedRow[],
  options: WindowOptions & { readonly steps: number },
): BatchShape[] {
  const windows = trainingWindows(rows, options);
  let best: BatchShape[] = [];
  const sizeOf = (window: readonly BatchShape[]): number =>
    Math.max(0, ...window.map(({ batch, length }) => batch * length));
  for (let step = 0; step < options.steps; step++) {
    const window = windows.next().value.map(({ batch, length }) => ({ batch, length }));
    if (sizeOf(window) > sizeOf(best)) best = window;
  }
  return best;
}

/** Every row once, packed into sequences of one length, so that one plan serves all. */
export function evaluationWindows(
  rows: readonly EncodedRow[],
  { maxPackedTokens = 1024 }: { readonly maxPackedTokens?: number } = {},
): TokenBatch[] {
  const total = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  const length = bucketLength(Math.max(longest(rows), Math.min(total, maxPackedTokens)));
  return packBatches(rows, { maxTokens: length, bucket: () => length });
}

function longest(rows: readonly EncodedRow[]): number {
  return rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
}

function chunks<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, at) => values.slice(at * size, (at + 1) * size));
}
