import { LowrankError } from '@lowrank/errors';
import type { FileFormat } from './splitRecords.js';

/** How a text file falls into rows, in `datasets`' words: a row per line, per paragraph, or one for all. */
export const textSamples = ['line', 'paragraph', 'document'] as const;

/** What a file is. */
export type FileKind = FileFormat | { readonly format: 'parquet' };

const byExtension: Readonly<Record<string, string>> = {
  jsonl: 'JSON lines',
  ndjson: 'JSON lines',
  json: 'JSON',
  csv: 'CSV',
  tsv: 'TSV',
  txt: 'text',
  parquet: 'Parquet',
};

/**
 * What a file is, by its name and its first bytes. What has no known extension is told by its bytes alone.
 *
 * @param name without the extension of a compression
 * @throws LowrankError `data.format` where name and bytes say different things, and for bytes that are no file of rows
 */
export function fileKind(
  name: string,
  head: Uint8Array,
  { sampleBy = 'line' }: { readonly sampleBy?: (typeof textSamples)[number] | undefined } = {},
): FileKind {
  const extension = /\.([a-z0-9]+)(\?.*)?$/i.exec(name)?.[1]?.toLowerCase() ?? '';
  const expected = byExtension[extension];
  const found = kindOfBytes(head);
  const mismatch = (got: string, remedy: string): LowrankError =>
    new LowrankError({ code: 'data.format', what: name, expected: expected ?? 'a file of rows', got, remedy });
  if (found === 'Parquet' || expected === 'Parquet') {
    if (found === 'Parquet' && (expected ?? 'Parquet') === 'Parquet') return { format: 'parquet' };
    throw mismatch(found === 'Parquet' ? 'a Parquet file' : (found ?? 'another file'), 'Name the file by what it is.');
  }
  if (found === 'UTF-16' || found === 'a ZIP archive' || found === 'an Arrow file')
    throw mismatch(found, found === 'UTF-16' ? 'Save the file as UTF-8.' : 'Give the file of rows that is in it.');
  switch (expected) {
    case 'CSV':
    case 'TSV':
      if (found !== undefined) throw mismatch(found, 'Name the file by what it is: rows.jsonl, rows.json.');
      return { format: 'csv', separator: expected === 'TSV' ? '\t' : separatorOf(head) };
    case 'text':
      if (found === 'JSON lines') throw mismatch(found, 'Name the file rows.jsonl, so that its rows are read as such.');
      return { format: sampleBy };
    case 'JSON lines':
      if (found === 'one JSON array') throw mismatch(found, 'Name the file rows.json.');
      return { format: 'jsonl' };
    default:
      return { format: found === 'one JSON array' ? 'json' : 'jsonl' };
  }
}

/** Excel in much of Europe writes semicolons. */
function separatorOf(head: Uint8Array): string {
  const [header = ''] = new TextDecoder().decode(head).split('\n', 1);
  return !header.includes(',') && header.includes(';') ? ';' : ',';
}

function kindOfBytes(head: Uint8Array): string | undefined {
  const begins = (text: string): boolean => Array.from(text).every((letter, at) => head[at] === letter.charCodeAt(0));
  if (begins('PAR1')) return 'Parquet';
  if (begins('\u00ff\u00fe') || begins('\u00fe\u00ff')) return 'UTF-16';
  if (begins('PK\u0003\u0004')) return 'a ZIP archive';
  if (begins('ARROW1')) return 'an Arrow file';
  const text = new TextDecoder().decode(head).trimStart();
  if (/^\{\s*"/.test(text)) return 'JSON lines';
  return /^\[\s*([[{"\d\]-]|true|false|null|$)/.test(text) ? 'one JSON array' : undefined;
}
