import { LowrankError } from '@lowrank/errors';
import type { EncodedRow } from '../encodeRow.js';
import { ignored } from '../encodeRow.js';
import { shuffled } from '../random.js';
import type { ExampleGroup, PreferenceExample } from './example.js';

/** A row of KTO, tokenized and not cut. */
export interface JudgedRow {
  readonly line: number;
  readonly prompt: Int32Array;
  readonly completion: Int32Array;
  readonly isGood: boolean;
}

/**
 * KTO's rows in groups of `size`, in which each prompt also has the completion of the row before it, the first one that
 * of the last: the group's estimate of how far the model is from its reference (TRL's `KL_completion_ids`). The groups
 * are drawn once by the seed, or follow the file without a shuffle, as TRL's do; they stay together in every epoch, so
 * that what the reference says of them need be known once. A last group of one row joins the one before.
 *
 * @throws LowrankError `data.groupSize` where there are not two rows for a group
 */
export function judgedGroups(
  rows: readonly JudgedRow[],
  options: { readonly size: number; readonly shuffle?: boolean; readonly seed?: number; readonly maxLength?: number },
): ExampleGroup[] {
  const { size, shuffle = true, seed = 0, maxLength = Infinity } = options;
  if (size < 2 || rows.length < 2) throw tooSmall(size, rows.length);
  const order = shuffle ? [...shuffled(rows.length, { seed: seed >>> 0, stream: 3 })] : [...rows.keys()];
  const count = Math.max(1, Math.ceil((rows.length - 1) / size));
  const parts = Array.from({ length: count }, (_, at) =>
    order.slice(at * size, at === count - 1 ? undefined : (at + 1) * size).flatMap((index) => rows[index] ?? []),
  );
  return parts.flatMap((part): ExampleGroup[] => {
    const [first, ...others] = part.map((row, at) => exampleOf(row, part.at(at - 1) ?? row, maxLength));
    return first === undefined ? [] : [[first, ...others]];
  });
}

function exampleOf(row: JudgedRow, before: JudgedRow, maxLength: number): PreferenceExample {
  const { line, isGood } = row;
  const mismatched = { ...row, completion: before.completion };
  return { line, isGood, documents: [documentOf(row, maxLength), documentOf(mismatched, maxLength)] };
}

function documentOf({ line, prompt, completion }: Omit<JudgedRow, 'isGood'>, maxLength: number): EncodedRow {
  const fullLength = prompt.length + completion.length;
  const ids = new Int32Array(Math.min(fullLength, maxLength));
  ids.set(prompt.subarray(0, ids.length));
  ids.set(completion.subarray(0, ids.length - prompt.length), prompt.length);
  const labels = ids.slice().fill(ignored, 0, prompt.length);
  return {
    line,
    ids,
    labels,
    labelTokens: ids.length - Math.max(prompt.length, 1),
    fullLength,
    promptIsPrefix: true,
  };
}

function tooSmall(size: number, rows: number): LowrankError {
  return new LowrankError({
    code: 'data.groupSize',
    what: 'KTO',
    expected: 'batches of at least two rows: it pairs prompts with the completions of other rows',
    got: size < 2 ? `a batch size of ${size}` : `${rows} ${rows === 1 ? 'row' : 'rows'} in all`,
    remedy: 'Raise the batch size, or give more rows.',
    setting: 'batchSize',
  });
}
