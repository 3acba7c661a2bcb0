import type { Dataset } from './dataset.js';
import type { EncodedRow } from './encodeRow.js';
import { withVirtualTokens } from './virtualTokens.js';

/** Rows to train on, in memory or in a file. What is drawn from them depends on their order and number alone. */
export interface TrainingRows {
  /** Rows that are drawn from, those without a token to learn among them. */
  readonly length: number;
  /** Rows with a token to learn: once through the data. Of rows in a file, which are not all known, their number. */
  readonly kept: number;
  /** Tokens of a row on average, where all are in memory. */
  readonly meanLength?: number;
  /** A row by its place; undefined for one without a token to learn, which batches pass over. */
  at(index: number): EncodedRow | undefined | Promise<EncodedRow | undefined>;
  /** Those that come near the longest, longest first: of rows in a file those of most bytes. */
  longest(count: number): Promise<readonly EncodedRow[]>;
  /** Lets go of the file. */
  close(): Promise<void>;
}

/** The rows of a data set in memory. */
export function memoryRows({
  rows,
  dropped = [],
}: Pick<Dataset, 'rows'> & Partial<Pick<Dataset, 'dropped'>>): TrainingRows {
  return {
    length: rows.length + dropped.length,
    kept: rows.length,
    meanLength: rows.reduce((sum, { ids }) => sum + ids.length, 0) / Math.max(1, rows.length),
    at(index) {
      const before = countBelow(dropped, index);
      return dropped[before] === index ? undefined : rows[index - before];
    },
    longest: (count) =>
      Promise.resolve([...rows].sort((one, other) => other.ids.length - one.ids.length).slice(0, count)),
    close: () => Promise.resolve(),
  };
}

/** The same with virtual tokens before each. */
export function rowsWithVirtualTokens(
  rows: TrainingRows,
  options: { readonly vocabularySize: number; readonly virtualTokens: number },
): TrainingRows {
  if (options.virtualTokens === 0) return rows;
  const added = (row: EncodedRow | undefined): EncodedRow | undefined =>
    row === undefined ? undefined : withVirtualTokens([row], options)[0];
  return {
    length: rows.length,
    kept: rows.kept,
    ...(rows.meanLength === undefined ? {} : { meanLength: rows.meanLength + options.virtualTokens }),
    at: async (index) => added(await rows.at(index)),
    longest: async (count) => withVirtualTokens(await rows.longest(count), options),
    close: () => rows.close(),
  };
}

/** How many of ascending numbers lie below one. */
export function countBelow(numbers: ArrayLike<number>, limit: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
