import { LowrankError } from '@lowrank/errors';
import type { RowReading } from './rowForms.js';
import { checkColumns, expectedForms, rowOf } from './rowForms.js';
import { encoded, once } from './sources/byteSource.js';
import type { OpenedFile, RecordOptions, RecordValue } from './sources/records.js';
import { openFile, recordValues } from './sources/records.js';
import type { RowProblem, TextRow } from './textRow.js';

export interface ReadOptions extends RowReading, RecordOptions {
  /** What errors call the data: the file's path. */
  readonly name?: string | undefined;
}

/** A text, whole or piece by piece. */
export type TextPieces = string | AsyncIterable<string> | Iterable<string>;

/** Rows, and how many have which form. */
export interface ReadRows {
  readonly rows: TextRow[];
  readonly forms: ReadonlyMap<string, number>;
}

/**
 * Rows of JSON lines (or of one JSON array), in any of the forms that rowForms.ts knows. Blank lines are skipped, other
 * keys ignored. All bad lines are found before the error is thrown; it takes the code of the first.
 *
 * @throws LowrankError `data.json`, `data.rowForm` (no object, a key missing, two forms at once), `data.rowType` (a
 * value
 * of another type), `data.empty` (no row at all), `data.columns`
 */
export async function parseJsonl(input: TextPieces, options: ReadOptions = {}): Promise<TextRow[]> {
  return (await readPieces(input, options)).rows;
}

/** The same, with the forms of the rows. */
export async function readPieces(input: TextPieces, options: ReadOptions = {}): Promise<ReadRows> {
  const { name = 'data' } = options;
  const source = once(name, () => encoded(typeof input === 'string' ? [input] : input));
  return readFiles([await openFile(source, options)], options);
}

/**
 * The rows of files, one file after another.
 *
 * @throws LowrankError what parseJsonl throws, `data.csv`, `data.unreadable`
 */
export async function readFiles(files: readonly OpenedFile[], options: ReadOptions = {}): Promise<ReadRows> {
  checkColumns(options.columns);
  const rows = new RowCollector(options);
  const kept: TextRow[] = [];
  for (const file of files) {
    rows.begin(file.name, file.kind.format === 'json' || file.kind.format === 'parquet' ? 'row' : 'line');
    for await (const records of recordValues(file))
      for (const record of records) {
        const row = rows.add(record);
        if (row !== undefined) kept.push(row);
      }
  }
  return { rows: kept, forms: rows.finish() };
}

/**
 * The same of rows that are objects already; a row's line is its place, from 1.
 *
 * @throws LowrankError `data.rowForm`, `data.rowType`, `data.empty`, `data.columns`
 */
export function readObjects(values: readonly unknown[], options: ReadOptions = {}): ReadRows {
  checkColumns(options.columns);
  const rows = new RowCollector(options);
  const kept = values.flatMap((value, at) => rows.add({ line: at + 1, value }) ?? []);
  return { rows: kept, forms: rows.finish() };
}

/** Makes rows of values, and counts their forms and what is wrong. */
export class RowCollector {
  readonly #reading: RowReading;
  readonly #forms = new Map<string, number>();
  readonly #problems: (RowProblem & { readonly file: string })[] = [];
  #bad = 0;
  #name: string;
  #unit = 'line';

  constructor(options: ReadOptions) {
    this.#reading = options;
    this.#name = options.name ?? 'data';
  }

  /** Whose rows come now, and what errors call a row's place. */
  begin(name: string, unit: 'line' | 'row'): void {
    [this.#name, this.#unit] = [name, unit];
  }

  add(record: RecordValue): TextRow | undefined {
    const found = 'value' in record ? rowOf(record.value, record.line, this.#reading) : record;
    if ('code' in found) {
      this.#bad++;
      if (this.#problems.length <= shownLines) this.#problems.push({ ...found, file: this.#name });
      return undefined;
    }
    this.#forms.set(found.form, (this.#forms.get(found.form) ?? 0) + 1);
    return found.row;
  }

  /** @throws LowrankError for what is wrong, or where there is no row */
  finish(): ReadonlyMap<string, number> {
    const [first, ...others] = this.#problems;
    if (first !== undefined) throw this.#badRows(first, others);
    if (this.#forms.size > 0) return this.#forms;
    throw new LowrankError({
      code: 'data.empty',
      what: this.#name,
      expected: `at least one row: ${expectedForms(this.#reading)}`,
      got: 'none',
      remedy: 'Check the path, and that the file is no empty one.',
    });
  }

  #badRows(first: RowProblem & { readonly file: string }, others: readonly RowProblem[]): LowrankError {
    const lines = others.slice(0, shownLines).map(({ line }) => line);
    const more = this.#bad - 1 > lines.length ? ` and ${this.#bad - 1 - lines.length} more` : '';
    const also =
      others.length > 0 ? ` ${this.#bad} ${this.#unit}s are bad; the others: ${lines.join(', ')}${more}.` : '';
    return new LowrankError({
      code: first.code,
      what: `${first.file}, ${this.#unit} ${first.line}`,
      expected: first.expected,
      got: first.got,
      remedy: `Each ${this.#unit} is ${expectedForms(this.#reading)}.${also}`,
    });
  }
}

/** Bad lines that an error names beside the first. */
const shownLines = 20;
