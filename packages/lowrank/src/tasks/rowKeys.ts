import type { RecordRow } from '@lowrank/data';
import { LowrankError, shown } from '@lowrank/errors';

/** Where a record stands, for errors. */
export function whereOf({ name, line }: RecordRow): string {
  return `${name}, line ${line}`;
}

/** @throws LowrankError `data.rowType` */
export function badRow(record: RecordRow, key: string, expected: string, got: unknown): never {
  throw new LowrankError({
    code: 'data.rowType',
    what: `${whereOf(record)}: "${key}"`,
    expected,
    got: got === undefined ? 'nothing' : shown(got),
  });
}

export function textAt(record: RecordRow, key: string): string {
  const value = record.values[key];
  return typeof value === 'string' ? value : badRow(record, key, 'a text', value);
}

/** CSV has empty cells where JSON leaves a key out. */
export function optionalText(record: RecordRow, key: string): string | undefined {
  const value = record.values[key] ?? undefined;
  return value === undefined || value === '' ? undefined : textAt(record, key);
}

export function has(values: Readonly<Record<string, unknown>>, ...keys: readonly string[]): boolean {
  return keys.every((key) => values[key] !== undefined && values[key] !== null);
}
