import { LowrankError } from '@lowrank/errors';
import { imageFolderRows } from './images/imageFolder.js';
import { isAddress, openSource } from './sources/byteSource.js';
import { openFile, recordValues } from './sources/records.js';
import type { OpenedFile } from './sources/records.js';
import type { SourceOptions, RowSource } from './rowSource.js';
import { openRows, rowSourceName } from './rowSource.js';

/** Records of a file as they stand there, before anyone asks what form they have: for a table that shows them. */
export interface Records {
  readonly records: readonly Readonly<Record<string, unknown>>[];
  /** Whether the file has more than were asked for. */
  readonly more: boolean;
}

/**
 * The first records of a file, of any kind that rows are read from: JSON lines, a JSON array, CSV, TSV, Parquet, text
 * (`{ text }` for each line), gzip of these.
 *
 * @param limit records that are read at most
 * @throws LowrankError `data.json` for a record that is no object, with its line; what reading the file throws
 */
export async function readRecords(source: File | Blob, limit = Infinity): Promise<Records> {
  const name = 'name' in source && source.name !== '' ? source.name : 'data';
  const file = await openFile(await openSource(source, name));
  const records: Readonly<Record<string, unknown>>[] = [];
  try {
    for await (const { values } of rowsOfFile(file, name)) {
      if (records.length >= limit) return { records, more: true };
      records.push(values);
    }
  } finally {
    await file.source.close();
  }
  return { records, more: false };
}

/** A record of any source, and where it stands. */
export interface RecordRow {
  readonly values: Readonly<Record<string, unknown>>;
  /** From 1. */
  readonly line: number;
  /** The file. */
  readonly name: string;
  /** Whether its values have no types: every cell of a CSV file is a text. */
  readonly isUntyped?: boolean;
}

/**
 * The records of a source of rows as they stand there, for whoever knows what they mean.
 *
 * @throws LowrankError `data.json` for a record that is no object; `data.empty`; what reading the source throws
 */
export async function recordsOf(source: RowSource, options: SourceOptions = {}): Promise<RecordRow[]> {
  const name = options.name ?? rowSourceName(source);
  const rows: RecordRow[] = [];
  if (Array.isArray(source))
    source.forEach((value, at) => rows.push({ values: objectOf(value, `${name}, row ${at + 1}`), line: at + 1, name }));
  else if (typeof source === 'string' && (await isFolder(source)))
    rows.push(...((await imageFolderRows(source, options.split)) ?? (await rowsOfFiles(source, options))));
  else rows.push(...(await rowsOfFiles(source as Exclude<RowSource, readonly object[]>, options)));
  if (rows.length > 0) return rows;
  throw new LowrankError({ code: 'data.empty', what: name, expected: 'at least one row', got: 'none' });
}

async function rowsOfFiles(
  source: Exclude<RowSource, readonly object[]>,
  options: SourceOptions,
): Promise<RecordRow[]> {
  const rows: RecordRow[] = [];
  const files = await openRows(source, options);
  try {
    for (const file of files) for await (const row of rowsOfFile(file, file.name)) rows.push(row);
  } finally {
    for (const file of files) await file.source.close();
  }
  return rows;
}

async function isFolder(path: string): Promise<boolean> {
  if (path === '-' || isAddress(path)) return false;
  const { stat } = await import('node:fs/promises');
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function* rowsOfFile(file: OpenedFile, name: string): AsyncGenerator<RecordRow> {
  const isUntyped = file.kind.format === 'csv';
  for await (const part of recordValues(file))
    for (const record of part) {
      const what = `${name}, line ${record.line}`;
      if (!('value' in record)) throw new LowrankError({ ...record, what, remedy: ofStandardInput(name) });
      yield { values: objectOf(record.value, what), line: record.line, name, isUntyped };
    }
}

function ofStandardInput(name: string): string | undefined {
  if (name !== rowSourceName('-')) return undefined;
  return 'Standard input holds JSON lines, a JSON array or Parquet; give CSV and text as files.';
}

function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new LowrankError({
    code: 'data.json',
    what,
    expected: 'a JSON object',
    got: Array.isArray(value) ? 'a list' : String(value).slice(0, 60),
  });
}
