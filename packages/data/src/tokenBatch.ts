import { LowrankError } from '@lowrank/errors';
import { bucketLength } from './bucketLength.js';
import type { EncodedRow } from './encodeRow.js';
import { ignored } from './encodeRow.js';
import { packDocuments } from './packDocuments.js';

/** An array of token numbers with its shape, row-major: an input of a compiled function. */
export interface TokenArray {
  readonly data: Int32Array;
  readonly shape: readonly number[];
}

/** What a language model's loss reads of a batch; a type alias, since interfaces are no records of inputs by name. */
export type TokenInputs = {
  /** [B, T] */
  readonly ids: TokenArray;
  /** [B, T], already shifted: `labels[t]` is the id to predict at position t, or -100. */
  readonly labels: TokenArray;
  /** `[B, T]`: the place within the document, from 0. */
  readonly positions: TokenArray;
  /**
   * `[B, T, 2]`: first index, and one past the last index, of the position's document in its sequence; padding is
   * alone: (t, t + 1).
   */
  readonly segments: TokenArray;
};

/**
 * Rows laid out as B sequences of T positions: a micro-batch as `train` takes it. A document is one row of the data;
 * attention stays within it (`segments`), positions restart with it, and no label crosses its end.
 */
export interface TokenBatch {
  readonly inputs: TokenInputs;
  /** B. */
  readonly batch: number;
  /** T. */
  readonly length: number;
  /** Label tokens, that is, labels other than -100: the loss is a sum over them. */
  readonly weight: number;
  /** Positions that are not padding. */
  readonly tokens: number;
  /** Documents. */
  readonly rows: number;
}

/** How rows are laid out as one micro-batch. */
export interface LayoutOptions {
  /** The length that a sequence of n tokens is padded to; `bucketLength` by default. */
  readonly bucket?: (length: number) => number;
  /** The id at padding, which nothing attends to. Default 0. */
  readonly padId?: number;
}

/** Lays all rows one after another in a single sequence: B = 1, T = bucket(sum of the lengths). */
export function packBatch(rows: readonly EncodedRow[], options: LayoutOptions = {}): TokenBatch {
  return layOut([rows], options);
}

/** Gives each row a sequence of its own: B = rows, T = bucket(longest row). */
export function padBatch(rows: readonly EncodedRow[], options: LayoutOptions = {}): TokenBatch {
  return layOut(
    rows.map((row) => [row]),
    options,
  );
}

/**
 * Packs rows into as few sequences as best-fit decreasing finds where one of `maxTokens` would not hold them all; one
 * batch for each, B = 1. Together they hold every row once.
 *
 * @throws LowrankError `data.capacity` where a row is longer than `maxTokens`
 */
export function packBatches(
  rows: readonly EncodedRow[],
  options: LayoutOptions & { readonly maxTokens: number },
): TokenBatch[] {
  const { maxTokens } = options;
  const tooLong = rows.find((row) => row.ids.length > maxTokens);
  if (tooLong !== undefined) {
    throw new LowrankError({
      code: 'data.capacity',
      what: `the row of line ${tooLong.line}`,
      expected: `at most ${maxTokens} tokens`,
      got: String(tooLong.ids.length),
      remedy: 'Lower the maximum length of a row, or raise the maximum of a packed sequence.',
    });
  }
  const lengths = rows.map((row) => row.ids.length);
  if (lengths.reduce((total, length) => total + length, 0) <= maxTokens) return [packBatch(rows, options)];
  return packDocuments(lengths, { capacity: maxTokens }).map((bin) =>
    packBatch(
      bin.flatMap(({ document }) => rows[document] ?? []),
      options,
    ),
  );
}

function layOut(sequences: readonly (readonly EncodedRow[])[], options: LayoutOptions): TokenBatch {
  const { bucket = bucketLength, padId = 0 } = options;
  const batch = sequences.length;
  const longest = Math.max(0, ...sequences.map((rows) => rows.reduce((total, row) => total + row.ids.length, 0)));
  if (longest === 0)
    throw new LowrankError({ code: 'data.empty', what: 'a batch', expected: 'at least one row', got: 'none' });
  const length = bucket(longest);
  if (!(length >= longest)) {
    throw new LowrankError({
      code: 'data.bucket',
      what: 'the bucket function',
      expected: `a length of at least ${longest}`,
      got: String(length),
    });
  }
  const ids = new Int32Array(batch * length).fill(padId);
  const labels = new Int32Array(batch * length).fill(ignored);
  const positions = new Int32Array(batch * length);
  const segments = new Int32Array(batch * length * 2);
  let tokens = 0;
  let weight = 0;
  for (const [b, rows] of sequences.entries()) {
    let start = 0;
    for (const row of rows) {
      const end = start + row.ids.length;
      const at = b * length + start;
      ids.set(row.ids, at);
      // Position t predicts token t + 1; the last position of a document predicts nothing.
      labels.set(row.labels.subarray(1), at);
      for (let t = start; t < end; t++) {
        positions[b * length + t] = t - start;
        segments.set([start, end], (b * length + t) * 2);
      }
      tokens += row.ids.length;
      weight += row.labelTokens;
      start = end;
    }
    for (let t = start; t < length; t++) segments.set([t, t + 1], (b * length + t) * 2);
  }
  const shape = [batch, length];
  const inputs = {
    ids: { data: ids, shape },
    labels: { data: labels, shape },
    positions: { data: positions, shape },
    segments: { data: segments, shape: [batch, length, 2] },
  };
  return { inputs, batch, length, weight, tokens, rows: sequences.flat().length };
}
