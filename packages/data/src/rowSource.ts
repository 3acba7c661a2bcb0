import type { ReadOptions, ReadRows } from './readRows.js';
import { readFiles, readObjects } from './readRows.js';
import { isAddress, openSource } from './sources/byteSource.js';
import type { Split } from './sources/splitFiles.js';
import { splitFiles } from './sources/splitFiles.js';
import type { OpenedFile } from './sources/records.js';
import { openFile } from './sources/records.js';

/**
 * Where rows come from: the path of a file (Node; JSON lines, a JSON array, CSV, TSV, Parquet, text, each also in
 * gzip),
 * of a folder with files named train, valid and test, `-` for the standard input; a URL, a File or Blob of the same;
 * JSON lines piece by piece; or the rows themselves as objects.
 */
export type RowSource = string | Blob | AsyncIterable<string> | readonly object[];

export interface SourceOptions extends ReadOptions {
  /** Which part of a folder. Default: train. */
  readonly split?: Split | undefined;
}

/** What errors call a source. */
export function rowSourceName(source: RowSource): string {
  if (typeof source === 'string') return source === '-' ? 'standard input' : source;
  return typeof File !== 'undefined' && source instanceof File && source.name !== '' ? source.name : 'data';
}

/** @throws LowrankError `data.missing`, `data.unreadable`, `data.format`, and what readFiles throws */
export async function rowsFrom(source: RowSource, options: SourceOptions): Promise<ReadRows> {
  if (Array.isArray(source)) return readObjects(source, options);
  const files = await openRows(source as Exclude<RowSource, readonly object[]>, options);
  try {
    return await readFiles(files, options);
  } finally {
    for (const file of files) await file.source.close();
  }
}

/** The files of a source, each known for what it is. */
export async function openRows(
  source: Exclude<RowSource, readonly object[]>,
  options: SourceOptions,
): Promise<OpenedFile[]> {
  const { name = rowSourceName(source), split } = options;
  const places =
    typeof source === 'string' && source !== '-' && !isAddress(source) ? await splitFiles(source, split) : [source];
  const opened: OpenedFile[] = [];
  for (const place of places)
    opened.push(await openFile(await openSource(place, place === source ? name : String(place)), options));
  return opened;
}
