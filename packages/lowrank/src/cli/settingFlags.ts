import { LowrankError } from '@lowrank/errors';
import type { Schema, SchemaShape, Setting, SettingTable } from '@lowrank/settings';
import { SameAs } from '@lowrank/settings';
import type { Command } from 'commander';
import { Option } from 'commander';
import { choiceFlag, listFlag, numberFlag, patternFlag } from './numbers.js';

/** Which settings of a table become flags of a command, and how. */
export interface FlagChoice {
  /** Those alone. */
  readonly only?: readonly string[];
  /** All but those. */
  readonly without?: readonly string[];
  /** Other defaults than the table's. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** The command fills in defaults. Without, a job does, which then knows what was given. */
  readonly filled?: boolean;
  /** What help says before a setting's own sentence: the methods that take it. */
  readonly before?: (name: string) => string;
}

/** A flag that knows the option it sets, which may have another name, or lie within another option. */
export class SettingFlag extends Option {
  /** What the option takes: of an option that others lie within, all of them. */
  readonly setting: Setting;
  /** A page about it. */
  readonly see: string | undefined;
  private readonly option: string;

  constructor(
    flags: string,
    description: string,
    { option, setting, see }: { readonly option: string; readonly setting: Setting; readonly see: string | undefined },
  ) {
    super(flags, description);
    this.option = option;
    this.setting = setting;
    this.see = see;
  }

  override attributeName(): string {
    return this.option;
  }
}

/** Adds flags for the settings of a table; those that the command has already stay as they are. */
export function addSettingFlags(command: Command, table: SettingTable, choice: FlagChoice = {}): Command {
  for (const [name, setting] of Object.entries(table.settings)) {
    if (choice.only?.includes(name) === false || choice.without?.includes(name) === true) continue;
    if (setting.fields === undefined) addFlag(command, { name, setting, choice });
    else
      for (const [inner, within] of Object.entries(setting.fields.settings))
        addFlag(command, { name: inner, setting: within, choice, group: { name, setting } });
  }
  return command;
}

interface Added {
  readonly name: string;
  readonly setting: Setting;
  readonly choice: FlagChoice;
  /** The option that it lies within. */
  readonly group?: { readonly name: string; readonly setting: Setting };
}

function addFlag(command: Command, { name, setting, choice, group }: Added): void {
  if (setting.flag === false) return;
  const { schema, text, flagSchema = schema } = setting;
  const isSwitch = schema.shape.kind === 'boolean';
  const off = isSwitch && setting.default === true;
  const long = `--${off ? 'no-' : ''}${setting.flag ?? dashed(name)}`;
  if (command.options.some((option) => option.long === long)) return;
  const flags = isSwitch ? long : `${long} <${setting.value ?? 'value'}>`;
  const owner = group ?? { name, setting };
  const option = new SettingFlag(flags, helpOf(name, setting, choice), {
    option: owner.name,
    setting: owner.setting,
    see: setting.see,
  });
  const read = isSwitch
    ? undefined
    : text === undefined
      ? textReader(long, flagSchema)
      : (given: string) => text.read(given) ?? refuseText(long, text, given);
  if (read !== undefined)
    option.argParser((given: string, before: unknown) =>
      group === undefined ? added(read(given), before) : { ...(before as object | undefined), [name]: read(given) },
    );
  const filled = choice.filled === true ? defaultOf(name, setting, choice) : undefined;
  if (filled !== undefined && !isSwitch) option.default(filled);
  command.addOption(option);
}

/** Values by name, from a flag that is given several times. */
function added(value: unknown, before: unknown): unknown {
  const isNamed = (one: unknown): one is object => typeof one === 'object' && one !== null && !Array.isArray(one);
  return isNamed(value) && isNamed(before) ? { ...before, ...value } : value;
}

function helpOf(name: string, setting: Setting, choice: FlagChoice): string {
  const { help, otherwise, schema } = setting;
  const before = choice.before?.(name) ?? '';
  const value = defaultOf(name, setting, choice);
  if (schema.shape.kind === 'boolean' || (choice.filled === true && value !== undefined)) return `${before}${help}`;
  const words = otherwise ?? inWords(value);
  return words === undefined ? `${before}${help}` : `${before}${help} (default: ${words})`;
}

function defaultOf(name: string, setting: Setting, { defaults = {} }: FlagChoice): unknown {
  return name in defaults ? defaults[name] : setting.default;
}

function inWords(value: unknown): string | undefined {
  if (value instanceof SameAs) return value.setting;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/** rankPattern → rank-pattern */
function dashed(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** How the text of a flag is read, by what its setting takes. */
export function textReader(flag: string, schema: Schema): (text: string) => unknown {
  return readerFor(flag, schema.shape);
}

/** Several values of one setting, with commas between them. */
export function valuesFlag<Value>(
  flag: string,
  { schema, flagSchema = schema }: { readonly schema: Schema<Value>; readonly flagSchema?: Schema },
): (text: string) => Value[] {
  const read = textReader(flag, flagSchema) as (text: string) => Value;
  return (text) => listFlag(flag)(text).map(read);
}

function readerFor(flag: string, shape: SchemaShape): (text: string) => unknown {
  if (isNumeric(shape)) return numberFlag(flag, { shape });
  switch (shape.kind) {
    case 'choice':
      return choiceFlag(flag, shape.names);
    case 'list': {
      const read = readerFor(flag, shape.item);
      return (text) => listFlag(flag)(text).map(read);
    }
    case 'byName':
      return patternFlag(flag);
    case 'either':
      return readerFor(flag, shape.of[0] ?? { kind: 'string' });
    default:
      return (text) => text;
  }
}

function isNumeric(shape: SchemaShape): boolean {
  return shape.kind === 'either' ? shape.of.every(isNumeric) : shape.kind === 'number';
}

function refuseText(flag: string, { expected, kind }: NonNullable<Setting['text']>, text: string): never {
  throw new LowrankError({ code: `cli.${kind}`, what: flag, expected, got: text === '' ? 'nothing' : text });
}
