import type { EncodedRow } from './encodeRow.js';
import { ignored } from './encodeRow.js';
import { hashNumbers } from './hashText.js';

/** What a reader should know of rows before they are trained on. */
export interface RowStatistics {
  /** Tokens of a row. */
  readonly lengths: LengthStatistics;
  /** How many rows have at most so many tokens, and more than the entry before. */
  readonly histogram: readonly { readonly upTo: number; readonly rows: number }[];
  /** Label tokens / tokens. */
  readonly learnedShare: number;
  /** Rows that say the same as one before. */
  readonly duplicates: number;
}

/** Lengths of rows in tokens. */
export interface LengthStatistics {
  readonly min: number;
  readonly median: number;
  readonly mean: number;
  /** 95 of 100 rows are no longer. */
  readonly p95: number;
  readonly max: number;
}

/** Percentiles are those of the nearest rank; the histogram's bounds double from 16. */
export function rowStatistics(rows: readonly EncodedRow[]): RowStatistics {
  const lengths = Int32Array.from(rows, ({ ids }) => ids.length).sort();
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const learned = rows.reduce((sum, { labelTokens }) => sum + labelTokens, 0);
  const rank = (share: number): number => lengths[Math.max(0, Math.ceil(share * lengths.length) - 1)] ?? 0;
  return {
    lengths: {
      min: rank(0),
      median: rank(0.5),
      mean: tokens / Math.max(1, rows.length),
      p95: rank(0.95),
      max: rank(1),
    },
    histogram: histogramOf(lengths),
    learnedShare: learned / Math.max(1, tokens),
    duplicates: rows.length - new Set(rows.map(rowKey)).size,
  };
}

/** How many rows of one side ask what is asked on the other: their scores show memory as well. */
export function sharedPrompts(train: readonly EncodedRow[], other: readonly EncodedRow[]): number {
  const asked = new Set(train.map(askedKey));
  return other.reduce((count, row) => count + (asked.has(askedKey(row)) ? 1 : 0), 0);
}

function histogramOf(sorted: Int32Array): RowStatistics['histogram'] {
  const bars: { upTo: number; rows: number }[] = [];
  let upTo = 16;
  for (const length of sorted) {
    while (length > upTo) upTo *= 2;
    const last = bars.at(-1);
    if (last?.upTo === upTo) last.rows++;
    else bars.push({ upTo, rows: 1 });
  }
  return bars;
}

function rowKey({ ids }: EncodedRow): number {
  return keyOf(ids);
}

/** A hash of the tokens before the last stretch that is learned; of a row that is learned whole all of them. */
export function askedKey({ ids, labels }: EncodedRow): number {
  let end = labels.length;
  while (end > 0 && labels[end - 1] === ignored) end--;
  while (end > 0 && labels[end - 1] !== ignored) end--;
  return keyOf(end === 0 ? ids : ids.subarray(0, end));
}

/** 53 bits of two hashes: of a million rows hardly two meet that are not the same. */
function keyOf(ids: Int32Array): number {
  return hashNumbers(ids, 1) * 2 ** 21 + (hashNumbers(ids, 2) >>> 11);
}
