import { LowrankError, shown as shownJson } from '@lowrank/errors';
import { checkRules } from './conflicts.js';
import { describeSchema, describeShape } from './describeSchema.js';
import { nearestName } from './nearest.js';
import { misfitOf } from './schema.js';
import type { GivenOptions, ParsedOptions, Setting, SettingTable } from './setting.js';
import { SameAs } from './setting.js';

/**
 * Checks every option that is given, fills in the defaults, and checks what goes with what.
 *
 * @throws LowrankError with the table's code: for an option that the table does not have (naming the nearest that it
 * has), one of the wrong type or out of bounds, one that is missing, and two that exclude each other
 */
export function parseOptions<Table extends SettingTable>(
  table: Table,
  given: GivenOptions<Table>,
): ParsedOptions<Table> {
  const { settings } = table;
  const options: Readonly<Record<string, unknown>> = given;
  refuseUnknown(table, options);
  const parsed: Record<string, unknown> = { ...defaultsOf(table) };
  for (const [name, setting] of Object.entries(settings)) {
    const value = options[name] ?? undefined;
    if (value !== undefined) parsed[name] = checkValue(table, name, value);
    else if (setting.required === true) throw missing(table, name, setting);
  }
  for (const [name, setting] of Object.entries(settings))
    if (setting.default instanceof SameAs) parsed[name] ??= parsed[setting.default.setting];
  checkRules(table, options, parsed);
  return parsed as ParsedOptions<Table>;
}

/** The defaults that are values of their own. */
export function defaultsOf({ settings }: Pick<SettingTable, 'settings'>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, setting]) =>
      setting.default === undefined || setting.default instanceof SameAs ? [] : [[name, setting.default] as const],
    ),
  );
}

/** @throws LowrankError for an option that the table does not have */
export function refuseUnknown(table: Pick<SettingTable, 'settings' | 'code' | 'subject'>, given: object): void {
  const names = Object.keys(table.settings);
  const unknown = Object.entries(given).find(
    ([name, value]) => value !== undefined && !Object.hasOwn(table.settings, name),
  )?.[0];
  if (unknown === undefined) return;
  const aliases = Object.fromEntries(names.map((name) => [name, table.settings[name]?.aliases ?? []]));
  const nearest = nearestName(unknown, names, aliases);
  throw new LowrankError({
    code: table.code,
    what: `${table.subject} ${unknown}`,
    expected: nearest === undefined ? `one of ${names.join(', ')}` : nearest,
    got: nearest === undefined ? 'a name that is none of them' : unknown,
    setting: unknown,
  });
}

/**
 * One value of a table, checked.
 *
 * @throws LowrankError with the table's code
 */
export function checkValue(table: SettingTable, name: string, value: unknown): unknown {
  const setting = table.settings[name];
  if (setting === undefined) return refuseUnknown(table, { [name]: value });
  if (setting.fields !== undefined && isObject(value)) return parseOptions(setting.fields, value);
  const problem = problemWith(setting, value);
  if (problem === undefined) return value;
  throw new LowrankError({
    code: table.code,
    what: (names) => `${table.subject} ${names(name)}${problem.path}`,
    expected: problem.expected,
    got: problem.got,
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
export function problemWith({ schema }: Pick<Setting, 'schema'>, value: unknown): Problem | undefined {
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
export function accepts({ schema }: Pick<Setting, 'schema'>, value: unknown): boolean {
  return misfitOf(schema.shape, value) === undefined;
}

function missing(table: SettingTable, name: string, { schema, example }: Setting): LowrankError {
  return new LowrankError({
    code: table.code,
    what: (names) => `${table.subject} ${names(name)}`,
    expected: describeSchema(schema),
    got: 'nothing',
    remedy: example === undefined ? undefined : (names) => `For example: ${names(name)} ${example}`,
    setting: name,
  });
}

/** A value for a sentence: text as it is, everything else as JSON. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'nothing' : value;
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) && value.length === 0 ? 'nothing' : shownJson(value);
  return String(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
