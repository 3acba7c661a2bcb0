import type { RecordRow, RowPart, RowSelection, RowSource, TextRow } from '@lowrank/data';
import { cutValidation, holdOut, recordsOf } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Task, TaskContext, TaskRow, TaskUnit } from './task.js';
import { unitOf } from './taskLayout.js';

/** Records of a source under the keys that tasks know. */
export async function taskRecords(
  source: RowSource,
  { columns = {}, split, sampleBy }: Pick<RowSelection, 'columns' | 'split' | 'sampleBy'> = {},
): Promise<RecordRow[]> {
  const records = await recordsOf(source, { split, sampleBy });
  const renamed = Object.entries(columns);
  if (renamed.length === 0) return records;
  return records.map((record) => ({
    ...record,
    values: { ...record.values, ...Object.fromEntries(renamed.map(([key, own]) => [key, record.values[own]])) },
  }));
}

export function readTaskRows(task: Task, records: readonly RecordRow[], isAsked = false): TaskRow[] {
  return records.map((record) => task.read(record, { isAsked }));
}

/** One side of each cut, as studies make them: what is asked stays together. */
export function partsOfRows(rows: readonly TaskRow[], parts: readonly RowPart[] = []): readonly TaskRow[] {
  return parts.reduce((left, part) => {
    const texts = left.map(({ line, key }): TextRow => ({ line, text: key }));
    const kept = new Set(holdOut(texts, part));
    return left.filter((_, at) => kept.has(texts[at] as TextRow));
  }, rows);
}

/** Rows that are trained on and rows that are held out, as `--validation` cuts them: what is asked stays together. */
export function cutTaskRows(
  rows: readonly TaskRow[],
  cut: { readonly size: number; readonly seed: number },
): {
  readonly train: TaskRow[];
  readonly validation: TaskRow[];
} {
  const texts = rows.map(({ line, key }): TextRow => ({ line, text: key }));
  const { validation } = cutValidation(texts, cut);
  const held = new Set(validation);
  const side = (isHeld: boolean): TaskRow[] => rows.filter((_, at) => held.has(texts[at] as TextRow) === isHeld);
  return { train: side(false), validation: side(true) };
}

/**
 * Rows as units of documents.
 *
 * @throws LowrankError `data.noTokens` for a text of which the tokenizer makes none: a head would read what lies before
 * it; what the task throws
 */
export async function encodeTaskRows(task: Task, rows: readonly TaskRow[], context: TaskContext): Promise<TaskUnit[]> {
  const opened = (await task.open?.(rows, context)) ?? rows;
  return opened.flatMap((row, at) =>
    task.encode(row, context).map((documents) => {
      if (documents.some(({ ids }) => ids.length === 0)) throw noTokens(row.where);
      return unitOf(documents, { line: row.line, row: at });
    }),
  );
}

function noTokens(where: string): LowrankError {
  return new LowrankError({
    code: 'data.noTokens',
    what: where,
    expected: 'a text with at least one token, since this model puts none around it',
    got: 'an empty text',
    remedy: 'Leave such rows out.',
  });
}
