import { checkRules } from './conflicts.js';
import { checkPlainValue, parseEach } from './parseValues.js';
import type { GivenOptions, ParsedOptions, SettingTable, ValueTable } from './setting.js';
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
  const parsed = parseEach(table, given, checkValue);
  checkRules(table, given, parsed);
  return parsed;
}

/** The defaults that are values of their own. */
export function defaultsOf({ settings }: Pick<ValueTable, 'settings'>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, setting]) =>
      setting.default === undefined || setting.default instanceof SameAs ? [] : [[name, setting.default] as const],
    ),
  );
}

/**
 * One value of a table, checked; an object of settings with its defaults.
 *
 * @throws LowrankError with the table's code
 */
export function checkValue(table: SettingTable, name: string, value: unknown): unknown {
  const fields = table.settings[name]?.fields;
  return fields !== undefined && isObject(value) ? parseOptions(fields, value) : checkPlainValue(table, name, value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
