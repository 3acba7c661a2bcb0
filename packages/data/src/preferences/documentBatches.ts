import { bucketLength } from '../bucketLength.js';
import type { EncodedRow } from '../encodeRow.js';
import { packDocuments } from '../packDocuments.js';
import type { FloatArray } from './preferenceLayout.js';
import { floatsOf, layOutDocuments } from './preferenceLayout.js';
import type { TokenArray, TokenInputs } from '../tokenBatch.js';

/** Documents to be scored one by one. */
export interface DocumentBatch {
  readonly inputs: TokenInputs & { readonly documents: TokenArray; readonly slots: FloatArray };
  /** The rows in the slots, by their places in what was given. */
  readonly documents: readonly number[];
}

/** Every row once, packed into sequences of one length. */
export function documentBatches(
  rows: readonly EncodedRow[],
  { maxPackedTokens = 1024 }: { readonly maxPackedTokens?: number } = {},
): DocumentBatch[] {
  const lengths = rows.map(({ ids }) => ids.length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  const length = bucketLength(Math.max(longest, Math.min(total, maxPackedTokens)));
  const bins = packDocuments(lengths, { capacity: length });
  const slots = bins.reduce((most, bin) => Math.max(most, bin.length), 0);
  const numbers = Array.from({ length: slots }, (_, at) => at);
  return bins.map((bin) => {
    const found = bin.flatMap(({ document }, slot) => {
      const row = rows[document];
      return row === undefined ? [] : [{ row, slot, document }];
    });
    const { tokens, slots: own } = layOutDocuments(found, { bucket: () => length });
    return {
      inputs: { ...tokens.inputs, documents: own, slots: floatsOf(slots, numbers) },
      documents: found.map(({ document }) => document),
    };
  });
}
