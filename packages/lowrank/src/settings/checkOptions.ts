import { LowrankError } from '@lowrank/errors';
import { loraSettings } from '@lowrank/lora';
import { methodNamed, methodNames } from '@lowrank/methods';
import type { SettingTable, Settings } from '@lowrank/settings';
import {
  accepts,
  anyOf,
  checkExclusions,
  checkRequirements,
  checkValue,
  describeSchema,
  givenOf,
  isGiven,
  refuseUnknown,
  text,
} from '@lowrank/settings';
import type { OptimizerOptions } from '@lowrank/trainer';
import { checkOptimizer } from '@lowrank/trainer';
import type { MethodOptions, TablesByMethod } from './methodTables.js';
import {
  commonTables,
  folderTables,
  methodTables,
  objectiveTables,
  ownersOf,
  settingIn,
  tokenTables,
} from './methodTables.js';

type Options = Readonly<Record<string, unknown>>;

/**
 * Checks which of a run's options go together, before anything is loaded: those of another method or optimizer, those
 * of an adapter that has begun already, and what they exclude and require.
 *
 * @throws LowrankError `cli.conflict`, `cli.choice`, `trainer.option`
 */
export function checkOptions(
  options: MethodOptions &
    OptimizerOptions & { readonly method?: string | undefined; readonly loss?: string | undefined },
): void {
  const { method = 'lora', loss = 'sft' } = options;
  checkOwners(methodTables, method, options);
  checkLoss(loss, options);
  checkOptimizer(options.optimizer ?? 'adamw', options);
  const tables: readonly SettingTable[] = (methodTables as TablesByMethod)[method] ?? [];
  checkRequired(tables, method, options);
  checkBegun(tables, options);
  const settings: Settings = Object.assign({}, ...tables.map((table) => table.settings));
  const all: object = { ...Object.fromEntries(Object.keys(settings).map((name) => [name, undefined])), ...options };
  for (const table of [...tables, ...tokenTables, ...commonTables, ...folderTables]) {
    // loraConfig checks its own.
    if (table !== loraSettings) checkExclusions({ settings: table.settings, code: 'cli.conflict' }, options, all);
    checkRequirements({ settings: table.settings, code: 'cli.conflict' }, options, all);
  }
}

/**
 * Checks that every option is one that there is, and each value by itself.
 *
 * @param others names of options whose values are not checked: what a run is about, files among it
 * @param more the settings of a run beside those of its method and of all training
 * @throws LowrankError `cli.option` for an unknown one, naming the nearest; the tables' codes for values
 */
export function checkValues(
  options: object,
  others: readonly string[],
  more: readonly SettingTable[] = folderTables,
): void {
  const { method = 'lora', loss = 'sft' } = options as { readonly method?: string; readonly loss?: string };
  const shared = [...commonTables, ...more, ...tokenTables];
  const owned = [objectiveTables, methodTables].flatMap((byName) => Object.values(byName).flat());
  const tables: readonly SettingTable[] = [...shared, ...owned];
  const known = [...others, 'method'].map((name) => [name, { schema: text(), help: name }] as const);
  const settings: Settings = Object.assign(Object.fromEntries(known), ...tables.map((table) => table.settings));
  refuseUnknown({ settings, code: 'cli.option', subject: 'the option' }, options);
  const own = [objectiveTables[loss] ?? [], (methodTables as TablesByMethod)[method] ?? []].flat();
  for (const table of [...shared, ...own])
    for (const [name, value] of Object.entries(options))
      if (value !== undefined && Object.hasOwn(table.settings, name) && !others.includes(name))
        checkValue(table, name, value);
}

/** Refuses options of other losses, and what only rows of text have. @throws LowrankError `cli.conflict` */
export function checkLoss(loss: string, options: object): void {
  checkOwners(objectiveTables, loss, options, ofAnotherLoss);
  if (loss === 'sft') return;
  const ofTexts: Options = {
    completionAfter: undefined,
    completionOnlyLoss: true,
    assistantOnlyLoss: true,
    groupByLength: false,
  };
  for (const [name, value] of Object.entries(ofTexts)) {
    const given = (options as Options)[name] ?? value;
    if (given === value) continue;
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names(name)} with ${names('loss', loss)}`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'A preference loss is of completions alone, its rows say what these are, and batches are of pairs.',
      setting: name,
    });
  }
}

function ofAnotherLoss(
  given: string,
  { method, byMethod }: { readonly method: string; readonly byMethod: TablesByMethod },
): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names(given)} with ${names('loss', method)}`,
    expected: 'one of the two',
    got: 'both',
    remedy: (names) => `Leave ${names(given)} out, or use ${names('loss', anyOf(ownersOf(byMethod, given)))}.`,
    setting: given,
  });
}

/** Refuses options of other methods, and values that only other methods take. */
export function checkOwners(byMethod: TablesByMethod, method: string, options: object, refusal = ofAnother): void {
  const own = byMethod[method] ?? [];
  for (const table of Object.values(byMethod).flat()) {
    for (const [given, value] of givenOf(table.settings, options)) {
      const [name = given] = given.split('.');
      const mine = settingIn(own, name);
      if (mine === undefined) throw refusal(given, { method, byMethod });
      if (mine.fields === undefined && !accepts(mine, value) && ownersOf(byMethod, name, value).length > 0)
        throw new LowrankError({
          code: 'cli.choice',
          what: (names) => `${names(name)} with ${names('method', method)}`,
          expected: describeSchema(mine.schema).replace(/, ([^,]*)$/, ' or $1'),
          got: String(value),
          setting: name,
        });
    }
  }
}

function ofAnother(
  given: string,
  { method, byMethod }: { readonly method: string; readonly byMethod: TablesByMethod },
): LowrankError {
  const [name = given] = given.split('.');
  const owners = ownersOf(byMethod, name);
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names(given)} with ${names('method', method)}`,
    expected: 'one of the two',
    got: 'both',
    remedy: (names) => {
      const [lora = 'lora'] = owners;
      if (name === 'quantization' || name === 'doubleQuantization')
        return (
          `Codes are frozen: ${byMethod['qlora'] === undefined ? 'train' : 'plan'} adapters over them ` +
          `(${names('method', byMethod['qlora'] === undefined ? lora : 'qlora')}), or every weight as it is.`
        );
      return movesWeights(method) && owners.includes('lora')
        ? `Every weight is trained then, and there are no adapters; leave ${names(given)} out, or use ` +
            `${names('method', anyOf(owners))}.`
        : `Leave ${names(given)} out, or use ${names('method', anyOf(owners))}.`;
    },
    setting: given,
  });
}

function movesWeights(name: string): boolean {
  return methodNames.some((method) => method === name && !methodNamed(method).overCodes);
}

/** What a method cannot do without. */
function checkRequired(tables: readonly SettingTable[], method: string, options: object): void {
  for (const [name, { required = false, otherwise, example }] of settingsOf(tables)) {
    // What the model knows need not be given.
    if (!required || otherwise !== undefined || isGiven((options as Options)[name])) continue;
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => names('method', method),
      expected: (names) => `${names(name)} with it`,
      got: 'none',
      remedy: example === undefined ? undefined : (names) => `For example: ${names(name)} ${example}`,
      setting: name,
    });
  }
}

/** How something begins is no question where it goes on. */
function checkBegun(tables: readonly SettingTable[], options: object): void {
  if (!isGiven((options as Options)['initAdapter'])) return;
  for (const { settings } of tables) {
    const begun = givenOf(settings, options).find(([, , { onResume = 'refused' }]) => onResume === 'refused');
    if (begun === undefined) continue;
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names(begun[0])} with ${names('initAdapter')}`,
      expected: 'one of the two',
      got: 'both',
      remedy: 'An adapter to go on from has begun already, and says itself what it is.',
      setting: begun[0],
    });
  }
}

/**
 * Refuses options that say otherwise than the adapter that training goes on from: a mistake, not a wish.
 *
 * @param same whether an option says the same as the adapter does
 * @param stored what the adapter was made with, in words
 * @throws LowrankError `cli.conflict`
 */
export function checkSame(
  table: SettingTable,
  options: object,
  {
    same,
    stored,
  }: { readonly same: (name: string, value: unknown) => boolean; readonly stored: (name: string) => string },
): void {
  for (const [name, value, { onResume }] of givenOf(table.settings, options)) {
    if (onResume !== 'same' || same(name, value)) continue;
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names(name)} with ${names('initAdapter')}`,
      expected: `${stored(name)}, which the adapter was made with`,
      got: String(value),
      remedy: (names) => `Leave ${names(name)} out, or start without ${names('initAdapter')}.`,
      setting: name,
    });
  }
}

function settingsOf(tables: readonly SettingTable[]): [string, Settings[string]][] {
  return tables.flatMap(({ settings }) => Object.entries(settings));
}
