import { LowrankError } from '@lowrank/errors';
import { hashText } from './hashText.js';
import { promptKey } from './promptGroups.js';
import type { TextRow } from './textRow.js';

/** How many rows are held out of a file to be evaluated. */
export interface ValidationCut {
  /** Below 1 a share of the prompts, else a number of rows: whole prompts are held out until there are so many. */
  readonly size: number;
  readonly seed: number;
}

/**
 * The cut that `--validation` means. Its seed is no run's own, so that runs of other seeds, and an evaluation later,
 * hold
 * out the same rows.
 */
export function validationCut(size: number): ValidationCut {
  return { size, seed: 0 };
}

/** Where a prompt's draw lies, as a 32-bit number. */
export function drawOf(row: TextRow, seed: number): number {
  return hashText(promptKey(row), seed);
}

/**
 * The rows whose draw lies at or below a threshold are held out, which depends on their prompts and the seed alone: the
 * same prompt is never on both sides, and a share holds out the same rows after others were added.
 *
 * @param draws of all rows
 * @returns the threshold: the share of all draws, or the smallest that holds out so many rows; of a share that would
 * hold out none, the lowest draw
 * @throws LowrankError `data.holdOut` where a side would be empty
 */
export function heldOutBelow(
  draws: Uint32Array,
  { size, name = 'data' }: { readonly size: number; readonly name?: string },
): number {
  const threshold = size < 1 ? shareThreshold(draws, size) : countThreshold(draws, size);
  const held = draws.reduce((count, draw) => count + (draw <= threshold ? 1 : 0), 0);
  if (held > 0 && held < draws.length) return threshold;
  throw new LowrankError({
    code: 'data.holdOut',
    what: `${size < 1 ? `a share of ${size}` : `${size} rows`} of ${name} for validation`,
    expected: 'at least one prompt, and others to learn from',
    got: `${draws.length} ${draws.length === 1 ? 'row' : 'rows'} of ${new Set(draws).size} prompts`,
    remedy: 'Hold out fewer, or give more data.',
    setting: 'validation',
  });
}

function shareThreshold(draws: Uint32Array, share: number): number {
  const lowest = draws.reduce((least, draw) => Math.min(least, draw), 2 ** 32);
  return Math.max(lowest, Math.floor(share * 2 ** 32) - 1);
}

function countThreshold(draws: Uint32Array, count: number): number {
  const sorted = draws.slice().sort();
  return sorted[Math.min(Math.ceil(count), sorted.length) - 1] ?? 0;
}

/** Cuts rows in two. @throws LowrankError `data.holdOut` */
export function cutValidation(
  rows: readonly TextRow[],
  { size, seed }: ValidationCut,
  name?: string,
): { readonly train: TextRow[]; readonly validation: TextRow[] } {
  const draws = Uint32Array.from(rows, (row) => drawOf(row, seed));
  const threshold = heldOutBelow(draws, { size, ...(name === undefined ? {} : { name }) });
  const side = (held: boolean): TextRow[] => rows.filter((_, at) => (draws[at] ?? 0) <= threshold === held);
  return { train: side(false), validation: side(true) };
}
