import { isLowrankError, LowrankError, shown } from '@lowrank/errors';
import type { Setting } from '@lowrank/settings';
import { nearestName } from '@lowrank/settings';
import type { Command, Option } from 'commander';
import { snakeCase } from '../settings/snakeCase.js';
import { flagWith } from './flagNames.js';
import { SettingFlag } from './settingFlags.js';

/** An option that has to be given, as a flag or in the file. */
export interface NeededOption extends Option {
  readonly needed?: true;
}

/** Flags that are about one call of the command, and no part of a run. */
const notInFiles = new Set(['json', 'overwrite', 'resume', 'version', 'help']);

/** Whether a flag may be a key of a file. */
export function isInFiles(option: Option): boolean {
  return !notInFiles.has(option.attributeName());
}

/** Whether a flag is true or false: `--no-tune` is `tune: false`. */
export function isSwitch(option: Option): boolean {
  return option.isBoolean() || option.negate;
}

/** Larger files are no settings. */
const largest = 1 << 20;

type Values = Readonly<Record<string, unknown>>;

/** Lets a command read its settings from a file: its one argument. */
export function addRunFile(command: Command): Command {
  for (const option of command.options)
    if (option.mandatory) Object.assign(option.makeOptionMandatory(false), { needed: true });
  return command.argument(
    '[file]',
    'YAML or JSON file of these settings by name (learning_rate: 0.0002); flags override it',
  );
}

/**
 * Runs a command's action with its flags over the settings of a file. An error about a setting that came from the file
 * names its key.
 *
 * @throws LowrankError `cli.runFile` for a file that cannot be read, is no YAML or JSON object, or has a key that is no
 * setting; `cli.usage` for a setting that neither has
 */
export async function withRunFile<Flags extends object>(
  command: Command,
  path: string | undefined,
  {
    action,
    fill,
  }: {
    readonly action: (flags: Flags) => Promise<void>;
    /** Sets what neither gives, before it is missed; the defaults of settings are then left to the action. */
    readonly fill?: (command: Command) => Promise<void>;
  },
): Promise<void> {
  const stored = path === undefined ? {} : await readRunFile(command, path);
  const keys = new Map<string, string>();
  for (const [name, { key, value }] of Object.entries(stored)) {
    if (command.getOptionValueSource(name) === 'cli' || isExcluded(command, name)) continue;
    command.setOptionValueWithSource(name, value, 'config');
    keys.set(name, key);
  }
  await fill?.(command);
  for (const option of command.options)
    if ((option as NeededOption).needed === true && command.getOptionValue(option.attributeName()) === undefined)
      command.error(`error: required option '${option.flags}' not specified`, { code: 'cli.needed' });
  try {
    await action(fill === undefined ? command.opts<Flags>() : givenOf<Flags>(command));
  } catch (error) {
    throw isLowrankError(error) && path !== undefined ? inFile(error, keys, path) : error;
  }
}

/** The flags without the defaults of settings: whoever takes them knows these, and what was given. */
function givenOf<Flags extends object>(command: Command): Flags {
  const filled = command.options.filter(
    (option) => option instanceof SettingFlag && command.getOptionValueSource(option.attributeName()) === 'default',
  );
  const names = new Set(filled.map((option) => option.attributeName()));
  return Object.fromEntries(Object.entries(command.opts()).filter(([name]) => !names.has(name))) as Flags;
}

/** Whether a flag takes the place of this setting: `--steps` that of `epochs`. */
function isExcluded(command: Command, name: string): boolean {
  const given = command.options.filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli');
  const excludes = (option: Option, other: string): boolean =>
    option instanceof SettingFlag &&
    (option.setting.excludes ?? []).some(({ setting, when, is }) => setting === other && !when && !is);
  const own = command.options.filter((option) => option.attributeName() === name);
  return given.some((flag) => excludes(flag, name) || own.some((option) => excludes(option, flag.attributeName())));
}

/** The same error, in the words of the file where it speaks of the file's settings. */
function inFile(error: LowrankError, keys: ReadonlyMap<string, string>, path: string): LowrankError {
  const { code, setting } = error;
  const words = (name: string, value?: string): string => {
    const [root = name, ...inner] = name.split('.');
    const key = keys.get(root);
    if (key === undefined) return flagWith(name, value);
    return `${[key, ...inner.map(snakeCase)].join('.')}${value === undefined ? '' : `: ${value}`} in ${path}`;
  };
  return new LowrankError({ code, setting, what: () => error.messageWith(words), cause: error });
}

/** What a file says: option → the key as it is written, and its value. */
type Stored = Readonly<Record<string, { readonly key: string; readonly value: unknown }>>;

async function readRunFile(command: Command, path: string): Promise<Stored> {
  const known = fileOptions(command);
  const stored: Record<string, { key: string; value: unknown }> = {};
  for (const [key, value] of Object.entries(await parseFile(path))) {
    const option = known.find(({ name }) => snakeCase(name) === snakeCase(key));
    if (option === undefined) throw unknownKey(path, key, known);
    if (Object.hasOwn(stored, option.name)) throw refusal(path, `${key}: one key for a setting`, 'two of them');
    if (value !== null) stored[option.name] = { key, value: option.read(value, `${key} in ${path}`) };
  }
  return stored;
}

/** A setting as a file may have it. */
interface FileOption {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly read: (value: unknown, what: string) => unknown;
}

function fileOptions(command: Command): FileOption[] {
  const byName = new Map<string, FileOption>();
  for (const option of command.options) {
    const name = option.attributeName();
    if (!isInFiles(option) || byName.has(name)) continue;
    byName.set(
      name,
      option instanceof SettingFlag
        ? {
            name,
            aliases: option.setting.aliases ?? [],
            read: (value, what) => settingValue(option.setting, value, what),
          }
        : { name, aliases: [], read: (value, what) => plainValue(option, value, what) },
    );
  }
  return [...byName.values()];
}

/** The job checks the value; here it takes the form that a flag would give it. */
function settingValue({ text, fields }: Setting, value: unknown, what: string): unknown {
  if (fields !== undefined && isObject(value)) {
    const names = Object.keys(fields.settings);
    const nameOf = (key: string): string => names.find((name) => snakeCase(name) === snakeCase(key)) ?? key;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [nameOf(key), inner]));
  }
  if (text === undefined || typeof value !== 'string') return value;
  const read = text.read(value);
  if (read !== undefined) return read;
  throw new LowrankError({ code: 'cli.runFile', what, expected: text.expected, got: shown(value) });
}

/** Options that are declared as flags alone: paths and choices. */
function plainValue(option: Option, value: unknown, what: string): unknown {
  const expected = isSwitch(option) ? 'boolean' : 'string';
  if (typeof value === expected)
    return option.parseArg === undefined ? value : option.parseArg(value as string, undefined as never);
  throw new LowrankError({
    code: 'cli.runFile',
    what,
    expected: expected === 'boolean' ? 'true or false' : 'a text',
    got: shown(value),
  });
}

async function parseFile(path: string): Promise<Values> {
  const { readFile, stat } = await import('node:fs/promises');
  const text = await stat(path)
    .then(({ size }) => (size > largest ? undefined : readFile(path, 'utf8')))
    .catch((cause: unknown) => {
      throw refusal(
        path,
        'a file of settings that can be read',
        cause instanceof Error ? cause.message : String(cause),
      );
    });
  if (text === undefined) throw refusal(path, 'settings', `a file of more than ${largest / 2 ** 20} MiB`);
  const { parseDocument } = await import('yaml');
  // JSON is YAML. Few aliases are enough for settings, and keep a file from unfolding without end.
  const document = parseDocument(text, { version: '1.2', prettyErrors: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw refusal(path, 'YAML or JSON', problem.message.trim().split(/:?\n/)[0] ?? '');
  const value = toValue(path, () => document.toJS({ maxAliasCount: 100 }));
  if (isObject(value)) return value;
  throw refusal(path, 'settings by name, such as "model: ./llama"', value === null ? 'nothing' : shown(value));
}

function toValue(path: string, read: () => unknown): unknown {
  try {
    return read();
  } catch (cause) {
    throw refusal(path, 'YAML or JSON', cause instanceof Error ? cause.message : String(cause));
  }
}

function unknownKey(path: string, key: string, known: readonly FileOption[]): LowrankError {
  const names = known.map(({ name }) => snakeCase(name));
  const nearest = nearestName(key, names, (asked) => known.find(({ name }) => snakeCase(name) === asked)?.aliases);
  return new LowrankError({
    code: 'cli.runFile',
    what: `the setting ${key} in ${path}`,
    expected: nearest ?? 'a setting that there is',
    got: key,
    remedy: nearest === undefined ? `There are ${names.join(', ')}.` : undefined,
  });
}

function refusal(path: string, expected: string, got: string): LowrankError {
  return new LowrankError({
    code: 'cli.runFile',
    what: path,
    expected,
    got,
    remedy: '`lowrank init` writes such a file for a model and its data.',
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
