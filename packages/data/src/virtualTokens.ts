import type { EncodedRow } from './encodeRow.js';
import { ignored } from './encodeRow.js';

/**
 * Rows with P virtual tokens before them, whose ids follow the vocabulary: what a model with prompt or prefix tuning
 * reads. Nothing is to be predicted there, nor the row's own first token, so that losses are over the same tokens as
 * without (PEFT's prompt tuning does count the first one, where it has a label).
 */
export function withVirtualTokens(
  rows: readonly EncodedRow[],
  { vocabularySize, virtualTokens }: { readonly vocabularySize: number; readonly virtualTokens: number },
): readonly EncodedRow[] {
  if (virtualTokens === 0) return rows;
  const before = Int32Array.from({ length: virtualTokens }, (_, at) => vocabularySize + at);
  return rows.map((row) => {
    const ids = new Int32Array(virtualTokens + row.ids.length);
    ids.set(before);
    ids.set(row.ids, virtualTokens);
    const labels = new Int32Array(ids.length).fill(ignored);
    labels.set(row.labels.subarray(1), virtualTokens + 1);
    return { ...row, ids, labels, fullLength: row.fullLength + virtualTokens };
  });
}
