import { LowrankError, parseJson } from '@lowrank/errors';
import { parseJsonWithFloats } from './jsonFloats.js';
import type { ReadRow, RowReading } from './rowForms.js';
import { checkColumns, expectedForms, rowOf } from './rowForms.js';
import type { RowProblem, TextRow } from './textRow.js';

export interface ReadOptions extends RowReading {
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
 * Rows of a JSONL text, one object per line, in any of the forms that rowForms.ts knows. Blank lines are skipped, other
 * keys ignored. All bad lines are found before the error is thrown; it takes the code of the first.
 *
 * @throws LowrankError `data.json`, `data.rowForm` (no object, a key missing, two forms at once), `data.rowType` (a value
 * of another type), `data.empty` (no row at all), `data.columns`
 */
export async function parseJsonl(input: TextPieces, options: ReadOptions = {}): Promise<TextRow[]> {
  return (await readJsonl(input, options)).rows;
}

/** The same, with the forms of the rows. */
export async function readJsonl(input: TextPieces, options: ReadOptions = {}): Promise<ReadRows> {
  checkColumns(options.columns);
  const found: (ReadRow | RowProblem)[] = [];
  let line = 0;
  for await (const text of linesOf(input)) {
    line++;
    if (line === 1 && isArrayStart(text)) throw jsonArray(options.name ?? 'data');
    if (text.trim() !== '') found.push(parseRow(text, line, options));
  }
  return sortedRows(found, { ...options, lines: line });
}

/**
 * The same of rows that are objects already; a row's line is its place, from 1.
 *
 * @throws LowrankError `data.rowForm`, `data.rowType`, `data.empty`, `data.columns`
 */
export function readObjects(values: readonly unknown[], options: ReadOptions = {}): ReadRows {
  checkColumns(options.columns);
  const found = values.map((value, at) => rowOf(value, at + 1, options));
  return sortedRows(found, { ...options, lines: values.length });
}

/** The rows, where all of them are. */
function sortedRows(
  found: readonly (ReadRow | RowProblem)[],
  options: ReadOptions & { readonly lines: number },
): ReadRows {
  const { name = 'data', lines } = options;
  const problems = found.filter((one): one is RowProblem => 'code' in one);
  if (problems.length > 0) throw badRows(name, problems, options);
  const forms = new Map<string, number>();
  const rows = found.flatMap((one) => {
    if (!('row' in one)) return [];
    forms.set(one.form, (forms.get(one.form) ?? 0) + 1);
    return [one.row];
  });
  if (rows.length > 0) return { rows, forms };
  throw new LowrankError({
    code: 'data.empty',
    what: name,
    expected: `at least one line with ${expectedForms(options)}`,
    got: lines <= 1 ? 'nothing' : `${lines} blank lines`,
    remedy: 'Check the path; a data file has one JSON object per line.',
  });
}

/** Lines, without looking twice at what was read: a line may come in many pieces. */
async function* linesOf(input: TextPieces): AsyncGenerator<string, void, undefined> {
  let pieces: string[] = [];
  let first = true;
  for await (const chunk of typeof input === 'string' ? [input] : input) {
    let from = first && chunk.startsWith('\ufeff') ? 1 : 0;
    first &&= chunk === '';
    for (let to = chunk.indexOf('\n', from); to >= 0; to = chunk.indexOf('\n', from)) {
      pieces.push(chunk.slice(from, to));
      yield pieces.length === 1 ? (pieces[0] ?? '') : pieces.join('');
      pieces = [];
      from = to + 1;
    }
    if (from < chunk.length) pieces.push(chunk.slice(from));
  }
  if (pieces.length > 0) yield pieces.join('');
}

/** A first line that opens a list and is no JSON of its own: a file of one JSON array, as many data sets are. */
function isArrayStart(line: string): boolean {
  const text = line.trim();
  if (!text.startsWith('[')) return false;
  return !isJson(text) || /^\[\s*\{/.test(text);
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}

function jsonArray(name: string): LowrankError {
  return new LowrankError({
    code: 'data.jsonArray',
    what: name,
    expected: 'JSON lines: one object on each line',
    got: 'one JSON array',
    remedy: "Write an object on each line, without the brackets and commas around them: jq -c '.[]' FILE > FILE.jsonl.",
  });
}

function parseRow(text: string, line: number, reading: RowReading): ReadRow | RowProblem {
  let value: unknown;
  try {
    value = parseJsonWithFloats(text);
  } catch (cause) {
    const got = `${text.length > 60 ? `${text.slice(0, 57)}...` : text} (${cause instanceof Error ? cause.message : 'none'})`;
    return { line, code: 'data.json', expected: 'JSON', got };
  }
  return rowOf(value, line, reading);
}

function badRows(name: string, problems: readonly RowProblem[], reading: RowReading): LowrankError {
  const [first, ...others] = problems;
  const lines = others.slice(0, 20).map(({ line }) => line);
  const more = others.length > lines.length ? ` and ${others.length - lines.length} more` : '';
  const also = others.length > 0 ? ` ${problems.length} lines are bad; the others: ${lines.join(', ')}${more}.` : '';
  return new LowrankError({
    code: first?.code ?? 'data.rowForm',
    what: `${name}, line ${first?.line ?? 0}`,
    expected: first?.expected,
    got: first?.got,
    remedy: `Each line is ${expectedForms(reading)}.${also}`,
  });
}
