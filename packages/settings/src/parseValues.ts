import { LowrankError, shown as shownJson } from '@lowrank/errors';
import { describeShape } from './describeSchema.js';
import { nearestName } from './nearest.js';
import { misfitOf } from './schema.js';
import type { GivenOptions, ParsedOptions, SettingValue, ValueTable } from './setting.js';
import { SameAs } from './setting.js';

/**
 * Checks each option by itself and fills in the defaults: `parseOptions` without the rules about what goes with what.
 *
 * @throws LowrankError with the table's code: for an option that the table does not have (naming the nearest that it
 * has), one of the wrong type or out of bounds, and one that is missing
 */
export function parseValues<Table extends ValueTable>(table: Table, given: GivenOptions<Table>): ParsedOptions<Table> {
  return parseEach(table, given, checkPlainValue);
}

/** The same with another check of each value, which returns what it stands for. */
export function parseEach<Table extends ValueTable>(
  table: Table,
  given: GivenOptions<Table>,
  check: (table: Table, name: string, value: unknown) => unknown,
): ParsedOptions<Table> {
  const options: Readonly<Record<string, unknown>> = given;
  refuseUnknown(table, options);
  const parsed: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(table.settings)) {
    const { default: fallback, required } = setting;
    const value = options[name] ?? undefined;
    // No schema takes nothing at all.
    if (value !== undefined || required === true) parsed[name] = check(table, name, value);
    // What it is the same as stands before it.
    else if (fallback !== undefined) parsed[name] = fallback instanceof SameAs ? parsed[fallback.setting] : fallback;
  }
  return parsed as ParsedOptions<Table>;
}

/** @throws LowrankError for an option that the table does not have */
export function refuseUnknown(table: ValueTable, given: object): void {
  const { settings } = table;
  const unknown = Object.entries(given).find(
    ([name, value]) => value !== undefined && !Object.hasOwn(settings, name),
  )?.[0];
  if (unknown === undefined) return;
  const names = Object.keys(settings);
  const nearest = nearestName(unknown, names, (name) => settings[name]?.aliases);
  throw new LowrankError({
    code: table.code,
    what: `${table.subject} ${unknown}`,
    expected: nearest === undefined ? `one of ${names.join(', ')}` : nearest,
    got: nearest === undefined ? 'a name that is none of them' : unknown,
    setting: unknown,
  });
}

/** One value of a table, checked by its schema. @throws LowrankError with the table's code */
export function checkPlainValue(table: ValueTable, name: string, value: unknown): unknown {
  const setting = table.settings[name];
  if (setting === undefined) return refuseUnknown(table, { [name]: value });
  const problem = problemWith(setting, value);
  if (problem === undefined) return value;
  const { path, expected, got } = problem;
  throw new LowrankError({
    code: table.code,
    what: (names) => `${table.subject} ${names(name)}${path}`,
    expected,
    got,
    setting: name,
  });
}

export interface Problem {
  /** Where in the value it is: '[q_proj]'. */
  readonly path: string;
  readonly expected: string;
  readonly got: string;
  /** The value is of the right type, and out of bounds. */
  readonly bounds: boolean;
}

/** What is wrong with a value; undefined where nothing is. */
export function problemWith({ schema }: Pick<SettingValue, 'schema'>, value: unknown): Problem | undefined {
  const found = misfitOf(schema.shape, value);
  if (found === undefined) return undefined;
  return {
    path: found.path.map((key) => `[${key}]`).join(''),
    expected: describeShape(found.shape),
    got: shown(found.value),
    bounds: found.bounds,
  };
}

/** Whether a setting takes a value. */
export function accepts({ schema }: Pick<SettingValue, 'schema'>, value: unknown): boolean {
  return misfitOf(schema.shape, value) === undefined;
}

/** A value for a sentence: text as it is, everything else as JSON. */
function shown(value: unknown): string {
  if (typeof value !== 'object') return String(value ?? '') || 'nothing';
  return Array.isArray(value) && value.length === 0 ? 'nothing' : shownJson(value);
}
