import { LowrankError } from '@lowrank/errors';
import { openSource } from './sources/byteSource.js';
import { openFile, recordValues } from './sources/records.js';

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
    for await (const part of recordValues(file))
      for (const record of part) {
        if (records.length >= limit) return { records, more: true };
        const at = { what: `${name}, line ${record.line}` };
        if (!('value' in record)) throw new LowrankError({ ...record, ...at });
        const { value } = record;
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw new LowrankError({
            code: 'data.json',
            ...at,
            expected: 'a JSON object',
            got: Array.isArray(value) ? 'a list' : String(value).slice(0, 60),
          });
        records.push(value as Readonly<Record<string, unknown>>);
      }
  } finally {
    await file.source.close();
  }
  return { records, more: false };
}
