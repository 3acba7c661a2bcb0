import type { Phrase } from '@lowrank/errors';
import type { Schema } from './schema.js';

/** What a setting excludes: both of them together are an error. */
export interface Exclusion {
  readonly setting: string;
  /** The values of this setting that exclude it; default: any. */
  readonly when?: (value: unknown) => boolean;
  /** The values of the other that are excluded; default: any. */
  readonly is?: (value: unknown) => boolean;
  readonly remedy?: Phrase;
}

/** What a setting also needs. */
export interface Requirement {
  readonly setting: string;
  /** The values of this setting that need it; default: any. */
  readonly when?: (value: unknown) => boolean;
  /** The values of the other that will do; default: any. */
  readonly is?: (value: unknown) => boolean;
  /** Those values, in words: 'nf4, fp4 or int8'. */
  readonly values?: string;
  readonly remedy?: Phrase;
}

/** How a setting stands in adapter_config.json, where that does not follow from its schema. */
export interface FileForm {
  /** What a file without the key means; default: the setting's default. */
  readonly absent?: unknown;
  /** What is written where nothing is set; default: null. */
  readonly unset?: unknown;
  /** The key is written only where the setting is on: older versions of PEFT do not know it. */
  readonly omitted?: true;
  /** The key is read only beside these. */
  readonly onlyWith?: Readonly<Record<string, unknown>>;
  /** The value that a file means, or undefined for one that is refused. */
  readonly read?: (json: unknown) => unknown;
  /** What values a file may have, in words. */
  readonly expected?: string;
  readonly remedy?: string;
  readonly write?: (value: never) => unknown;
}

/** How the text of a flag becomes a value, where that does not follow from the schema. */
export interface TextForm {
  /** undefined for a text that is refused. */
  readonly read: (text: string) => unknown;
  /** What texts there may be, in words. */
  readonly expected: string;
  /** The kind of text, of which the command line makes the error's code. */
  readonly kind: string;
}

/** What becomes of a setting when training goes on from a saved adapter, which says itself what it is. */
export type OnResume = 'refused' | 'same' | 'free';

/** What a setting takes and begins with: all that programs need that give it. */
interface Taken<Value> {
  readonly schema: Schema<Value>;
  /** What other tools call it. */
  readonly aliases?: readonly string[];
}

/** What a setting is called, in files, on command lines and in help, and what goes with it. */
export interface SettingFaces {
  /** One plain sentence, without its period. */
  readonly help: string;
  /** A page about it, as a link from docs/cli.md. */
  readonly see?: string;
  /** Its name in adapter_config.json; without one it is no part of the file. */
  readonly key?: string;
  readonly file?: FileForm;
  /** Its flag without the dashes; default: the name with dashes. false: none. */
  readonly flag?: string | false;
  /** What stands for the value in help: 'rank'. */
  readonly value?: string;
  readonly text?: TextForm;
  /** What the flag takes, where that is less than the setting does. */
  readonly flagSchema?: Schema;
  /** The default in words, where it is not a value of its own: "PEFT's for the model". */
  readonly otherwise?: string;
  readonly excludes?: readonly Exclusion[];
  readonly requires?: readonly Requirement[];
  /** Memory and time of a run depend on it: `plan` takes it. */
  readonly cost?: true;
  /** With an adapter that has begun already. Default: refused. */
  readonly onResume?: OnResume;
  /** A run that goes on from a checkpoint may have another value: it changes nothing of what was done by then. */
  readonly changeable?: true;
  /** For errors about its absence. */
  readonly example?: string;
  /** The settings within, where the value is an object of settings of its own. */
  readonly fields?: SettingTable;
}

type Presence = 'settled' | 'required' | 'optional';

/**
 * A setting as `parseValues` sees it. `Value` is what it holds; a settled one always has a value after parsing.
 */
export interface SettingValue<Value = unknown, Has extends Presence = Presence> extends Taken<Value> {
  readonly default?: Value | SameAs | undefined;
  readonly required?: boolean | undefined;
  /** For types alone. */
  readonly presence?: Has;
}

/** One declared setting. */
export interface Setting<Value = unknown, Has extends Presence = Presence>
  extends SettingValue<Value, Has>, SettingFaces {}

/** A default that is the value of another setting. */
export class SameAs {
  constructor(readonly setting: string) {}
}

/** The default is the value of another setting. */
export function sameAs(setting: string): SameAs {
  return new SameAs(setting);
}

/** Declares one setting: its type, bounds, default and help, and where it stands in files and on command lines. */
export function setting<Value>(
  given: Taken<Value> & SettingFaces & { readonly default: NoInfer<Value> | SameAs },
): Setting<Value, 'settled'>;
export function setting<Value>(
  given: Taken<Value> & SettingFaces & { readonly required: true },
): Setting<Value, 'required'>;
export function setting<Value>(given: Taken<Value> & SettingFaces): Setting<Value, 'optional'>;
// @__NO_SIDE_EFFECTS__
export function setting<Value>(given: Taken<Value> & SettingFaces): Setting<Value> {
  return given;
}

/**
 * What a setting takes that may be left out, and what other tools call it. Its names here and its help follow in
 * another table (`withFaces`).
 */
// @__NO_SIDE_EFFECTS__
export function optional<Value>(schema: Schema<Value>, ...aliases: readonly string[]): SettingValue<Value, 'optional'> {
  return { schema, aliases };
}

/** The same for one that has to be given. */
// @__NO_SIDE_EFFECTS__
export function required<Value>(schema: Schema<Value>, ...aliases: readonly string[]): SettingValue<Value, 'required'> {
  return { schema, aliases, required: true };
}

/** The same for one that has a default: a value, or that of a setting before it. */
// @__NO_SIDE_EFFECTS__
export function settled<Value>(
  schema: Schema<Value>,
  fallback: NoInfer<Value> | SameAs,
  ...aliases: readonly string[]
): SettingValue<Value, 'settled'> {
  return { schema, aliases, default: fallback };
}

/** Settings by the name that programs give them. */
export type Settings = Readonly<Record<string, Setting>>;

/** What they take, by the same names. */
export type SettingValues = Readonly<Record<string, SettingValue>>;

/** What settings take that are given together, with what their errors say. */
export interface ValueTable<Declared extends SettingValues = SettingValues> {
  readonly settings: Declared;
  /** The code of errors about values. */
  readonly code: string;
  /** What a setting is called in errors: 'the LoRA setting'. */
  readonly subject: string;
}

/** Settings that are given together, with what their errors and files say. */
export interface SettingTable<Declared extends Settings = Settings> extends ValueTable<Declared> {
  /** Why keys of a file are refused: settings that would change what is computed, with what to do about each. */
  readonly refusedKeys?: Readonly<Record<string, string>>;
  /** Keys that are read elsewhere, or from which nothing follows. */
  readonly knownKeys?: readonly string[];
  /** Keys that are over once an adapter is trained, with what they say. */
  readonly spentKeys?: Readonly<Record<string, string>>;
}

/** Puts settings in a table. @throws nothing */
// @__NO_SIDE_EFFECTS__
export function defineSettings<const Declared extends Settings>(
  about: Omit<SettingTable, 'settings'>,
  settings: Declared,
): SettingTable<Declared> {
  return { ...about, settings };
}

/** Settings of which a table says what they take, and another what they are called. */
type Whole<Values extends SettingValues> = {
  readonly [Name in keyof Values]: Values[Name] & SettingFaces;
};

/** The whole settings of a table that says what each takes: with their names, help and rules. @throws nothing */
// @__NO_SIDE_EFFECTS__
export function withFaces<Values extends SettingValues>(
  { settings, ...about }: ValueTable<Values> & Omit<SettingTable, 'settings'>,
  faces: { readonly [Name in keyof Values]: SettingFaces },
): SettingTable<Whole<Values>> {
  const whole = Object.entries(faces).map(([name, face]) => [name, { ...settings[name], ...face }]);
  return { ...about, settings: Object.fromEntries(whole) as Whole<Values> };
}

/** What a declared setting holds. */
export type ValueOf<Declared> = Declared extends SettingValue<infer Value> ? Value : never;
type Keys<Declared extends SettingValues, Has extends Presence> = {
  [Name in keyof Declared]: Declared[Name] extends SettingValue<unknown, Has> ? Name : never;
}[keyof Declared];

/** What may be given of a table: every setting, none of them needed. */
export type OptionsOf<Table extends ValueTable> = {
  readonly [Name in keyof Table['settings']]?: ValueOf<Table['settings'][Name]> | undefined;
};

/** What has to be given of a table, and what may. */
export type GivenOptions<Table extends ValueTable> = Omit<OptionsOf<Table>, Keys<Table['settings'], 'required'>> & {
  readonly [Name in Keys<Table['settings'], 'required'>]: ValueOf<Table['settings'][Name]>;
};

/** Options after parsing: defaults are filled in. */
export type ParsedOptions<Table extends ValueTable> = {
  readonly [Name in Exclude<keyof Table['settings'], Keys<Table['settings'], 'optional'>>]: ValueOf<
    Table['settings'][Name]
  >;
} & {
  readonly [Name in Keys<Table['settings'], 'optional'>]?: ValueOf<Table['settings'][Name]> | undefined;
};

/** What may be given of several tables together. */
export type MergedOptions<Table extends SettingTable> = {
  readonly [Name in NamesOf<Table>]?: ValueIn<Table, Name> | undefined;
};

type NamesOf<Table> = Table extends SettingTable ? keyof Table['settings'] : never;
type ValueIn<Table, Name> = Table extends SettingTable
  ? Name extends keyof Table['settings']
    ? ValueOf<Table['settings'][Name]>
    : never
  : never;
