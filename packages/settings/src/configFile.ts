import { LowrankError, shown } from '@lowrank/errors';
import { describeSchema } from './describeSchema.js';
import { problemWith } from './parseValues.js';
import type { OptionsOf, Setting, SettingTable } from './setting.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * The options that a configuration file sets (adapter_config.json), by the keys of a table. Keys that change what is
 * computed and that nobody here knows are refused; of all others `configWarnings` speaks.
 *
 * @param file its name, for errors
 * @throws LowrankError `typeCode` for a refused key and a value of the wrong type, the table's code for a value out of
 * bounds
 */
export function readConfig<Table extends SettingTable>(
  table: Table,
  json: Json,
  { file, typeCode = table.code }: { readonly file: string; readonly typeCode?: string },
): OptionsOf<Table> {
  for (const [key, remedy] of Object.entries(table.refusedKeys ?? {}))
    if (saysSomething(json[key])) throw refusal(typeCode, { key, file, got: json[key], remedy });
  const options: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(table.settings)) {
    const value = readSetting(table, setting, { json, file, typeCode });
    if (value !== undefined) options[name] = value;
  }
  return options as OptionsOf<Table>;
}

interface Reading {
  readonly json: Json;
  readonly file: string;
  readonly typeCode: string;
}

function readSetting(table: SettingTable, setting: Setting, { json, file, typeCode }: Reading): unknown {
  const { key, file: form = {}, fields, required = false } = setting;
  if (key === undefined || !isRead(form, json)) return undefined;
  const got = json[key];
  const fail = (expected: string, code = typeCode, at = ''): LowrankError =>
    new LowrankError({ code, what: `${key}${at} in ${file}`, expected, got: shownJson(got), remedy: form.remedy });
  if (fields !== undefined) {
    if (!saysSomething(got)) return {};
    if (typeof got !== 'object' || Array.isArray(got)) throw fail('an object');
    return readConfig(fields, got as Json, { file: `${key} of ${file}`, typeCode });
  }
  // A switch that is on by default says something where it is off.
  if (!saysSomething(got) && !(got === false && setting.default === true)) {
    if (required) throw fail(expectedOf(setting));
    return form.absent;
  }
  const value = form.read === undefined ? got : form.read(got);
  if (value === undefined) throw fail(expectedOf(setting));
  const problem = problemWith(setting, value);
  if (problem === undefined) return value;
  throw problem.bounds
    ? fail(problem.expected, table.code, problem.path)
    : fail(form.expected ?? problem.expected, typeCode, problem.path);
}

function isRead({ onlyWith = {} }: NonNullable<Setting['file']>, json: Json): boolean {
  return Object.entries(onlyWith).every(([key, value]) => json[key] === value);
}

function expectedOf({ file, schema }: Setting): string {
  return file?.expected ?? describeSchema(schema);
}

function refusal(
  code: string,
  { key, file, got, remedy }: { readonly key: string; readonly file: string; readonly got: unknown; remedy: string },
): LowrankError {
  const expected = 'a setting that Lowrank supports (off)';
  return new LowrankError({ code, what: `${key} in ${file}`, expected, got: shownJson(got), remedy });
}

function shownJson(value: unknown): string {
  return shown(value);
}

/**
 * Options as a configuration file has them: sorted keys, as PEFT writes them. Objects keep the order of their own keys,
 * since in patterns the first that matches counts.
 *
 * @param extra keys that belong to no setting
 */
export function writeConfig(table: SettingTable, options: object, extra: Json = {}): Json {
  const values = options as Json;
  const fields = Object.entries(table.settings).flatMap(([name, setting]) => writeSetting(setting, values[name]));
  return sorted([...fields, ...Object.entries(extra)]);
}

function writeSetting({ key, file = {}, fields }: Setting, value: unknown): [key: string, value: unknown][] {
  if (key === undefined) return [];
  const off = value === undefined || value === false;
  if (off) return file.omitted === true ? [] : [[key, value ?? file.unset ?? null]];
  if (fields !== undefined) return [[key, writeConfig(fields, value as object)]];
  return [[key, file.write === undefined ? value : file.write(value as never)]];
}

function sorted(fields: readonly [key: string, value: unknown][]): Json {
  return Object.fromEntries([...fields].sort(([one], [other]) => (one < other ? -1 : 1)));
}

/**
 * What of a configuration file is left aside, as sentences: keys that are set, and that nothing follows from or that
 * nobody here has heard of.
 *
 * @param file its name
 */
export function configWarnings(table: SettingTable, json: Json, file: string): string[] {
  const known = new Set([
    ...keysRead(table, json),
    ...(table.knownKeys ?? []),
    ...Object.keys(table.refusedKeys ?? {}),
  ]);
  return Object.entries(json).flatMap(([key, value]) => {
    if (!saysSomething(value) || known.has(key)) return [];
    const spent = table.spentKeys ?? {};
    const reason = Object.hasOwn(spent, key) ? spent[key] : undefined;
    const text = shown(value);
    const setting = `${key} = ${text.length > 80 ? `${text.slice(0, 80)}…` : text}`;
    const because =
      reason === undefined
        ? 'Lowrank does not know it. If it changes what the adapter computes, results will differ'
        : `it ${reason}, and nothing follows from it`;
    return [`${file}: ${setting} is ignored: ${because}.`];
  });
}

function keysRead({ settings }: SettingTable, json: Json): string[] {
  return Object.values(settings).flatMap(({ key, file = {} }) =>
    key === undefined || !isRead(file, json) ? [] : [key],
  );
}

/** Whether a value says anything: not where it is null, false or empty. */
export function saysSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== 'object' || Object.values(value).some(saysSomething);
}
