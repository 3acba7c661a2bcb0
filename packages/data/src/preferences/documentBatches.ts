import { bucketLength } from '../bucketLength.js';
import type { EncodedRow } from '../encodeRow.js';
import type { FloatArray } from './preferenceLayout.js';
import { floatsOf, layOutDocuments } from './preferenceLayout.js';
import type { TokenArray, TokenInputs } from '../tokenBatch.js';

/** Documents to be scored one by one. */
export interface DocumentBatch {
  readonly inputs: TokenInputs & { readonly documents: TokenArray; readonly slots: FloatArray };
  /** The rows in the slots, by their places in what was given. */
  readonly documents: readonly number[];
}

export interface DocumentBatchesOptions {
  /** Of one sequence. Default 1024, or the longest row. */
  readonly maxPackedTokens?: number | undefined;
  /** Rows that have to be scored: the first ones. Default all. */
  readonly count?: number | undefined;
}

/**
 * Rows in their order, one after another into sequences of one length, until the first `count` are there. Which rows
 * share a sequence, and its shape, depend on all rows and not on `count`: a row has the same score, to the last bit,
 * however many are asked for.
 */
export function documentBatches(
  rows: readonly EncodedRow[],
  { maxPackedTokens = 1024, count = rows.length }: DocumentBatchesOptions = {},
): DocumentBatch[] {
  const lengths = rows.map(({ ids }) => ids.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const length = bucketLength(Math.max(longest, Math.min(total, maxPackedTokens)));
  const bins = binsInOrder(lengths, length);
  const slots = bins.reduce((most, bin) => Math.max(most, bin.length), 0);
  const numbers = Array.from({ length: slots }, (_, at) => at);
  return bins
    .filter(([first = count]) => first < count)
    .map((bin) => {
      const found = bin.flatMap((document, slot) => {
        const row = rows[document];
        return row === undefined ? [] : [{ row, slot }];
      });
      const { tokens, slots: own } = layOutDocuments(found, { bucket: () => length });
      return {
        inputs: { ...tokens.inputs, documents: own, slots: floatsOf(slots, numbers) },
        documents: bin,
      };
    });
}

/** The places of rows by sequence: a row that has no room begins the next one. */
function binsInOrder(lengths: readonly number[], capacity: number): number[][] {
  const bins: number[][] = [];
  let room = 0;
  for (const [at, length] of lengths.entries()) {
    if (length > room || bins.length === 0) {
      bins.push([]);
      room = capacity;
    }
    bins.at(-1)?.push(at);
    room -= length;
  }
  return bins;
}
