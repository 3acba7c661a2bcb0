import { LowrankError } from '@lowrank/errors';
import type { SettingTable } from '@lowrank/settings';
import { withoutSecrets } from '@lowrank/safetensors';
import type { ScheduleName } from '@lowrank/trainer';
import { learningRateAt } from '@lowrank/trainer';
import {
  commonTables,
  folderTables,
  methodTables,
  objectiveTables,
  settingIn,
  tokenTables,
} from '../settings/methodTables.js';
import type { TablesByMethod } from '../settings/methodTables.js';
import type { RunRecord } from './runRecord.js';

type Options = Readonly<Record<string, unknown>>;

/** What a run is called with, and no setting of it. */
const ofTheCall = new Set(['overwrite', 'resume']);

/** The settings of a run by name, and those of them that were given. */
export function runSettings(method: string, options: object): Pick<RunRecord, 'settings' | 'given'> {
  const settings: Record<string, unknown> = {};
  const given: Record<string, unknown> = {};
  for (const table of tablesOf(method, options))
    for (const [name, { default: byDefault }] of Object.entries(table.settings)) {
      if (ofTheCall.has(name)) continue;
      const value = (options as Options)[name];
      if (value !== undefined) given[name] = value;
      if (value !== undefined || isPlain(byDefault)) settings[name] = value ?? byDefault;
    }
  return { settings: withoutPasswords(settings), given: withoutPasswords(given) };
}

/** The same values, addresses without user, password and query. */
export function withoutPasswords<Values extends Options>(values: Values): Values {
  const isAddress = (value: unknown): value is string => typeof value === 'string' && /^https?:/.test(value);
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    isAddress(value) ? withoutSecrets(value) : value,
  ]);
  return Object.fromEntries(entries) as Values;
}

/** The same options, with the run's own settings and evaluation rows where none are given. */
export function withRunSettings<Given extends object>(given: Given, record: RunRecord): Given {
  const own = Object.entries(record.given).filter(([name]) => (given as Options)[name] === undefined);
  const stored = Object.fromEntries(own);
  // One of the two says how long it is.
  if ((given as Options)['steps'] !== undefined) delete stored['epochs'];
  if ((given as Options)['epochs'] !== undefined) delete stored['steps'];
  const { evalData } = record.places;
  return { ...stored, ...(evalData === undefined ? {} : { evalData }), ...defined(given) };
}

function defined<Given extends object>(given: Given): Given {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Given;
}

/**
 * Refuses settings that say otherwise than the run that is gone on with, but for those that change nothing of what was
 * done.
 *
 * @throws LowrankError `run.changed`, which names the difference
 */
export function checkSettings(given: object, record: RunRecord): void {
  const { method = record.method } = given as { readonly method?: string };
  if (method !== record.method) throw changed('method', { was: record.method, is: method });
  const tables = tablesOf(method, withRunSettings(given, record));
  const { settings } = runSettings(method, withRunSettings(given, record));
  for (const [name, value] of Object.entries(settings)) {
    const was = record.settings[name];
    if (settingIn(tables, name)?.changeable === true || JSON.stringify(value) === JSON.stringify(was)) continue;
    throw changed(name, { was, is: value });
  }
}

/**
 * Refuses another number of steps where the learning rates of the steps that were taken would have been others: those
 * of
 * a schedule that falls to its end.
 *
 * @throws LowrankError `run.changed`; `run.finished` where nothing is left to be done
 */
export function checkSteps(
  steps: number,
  { step, record }: { readonly step: number; readonly record: RunRecord },
): void {
  if (steps === record.steps) return;
  if (steps < step)
    throw new LowrankError({
      code: 'run.changed',
      what: (names) => names('steps', String(steps)),
      expected: `at least ${step}, the steps that the run has taken`,
      got: String(steps),
      setting: 'steps',
    });
  const {
    schedule = 'constant',
    warmup = 0,
    learningRate = 0,
    ...others
  } = record.settings as {
    readonly schedule?: ScheduleName;
    readonly warmup?: number;
    readonly learningRate?: number;
  };
  const rate = (at: number, all: number): number =>
    learningRateAt(at, { ...others, schedule, warmup, learningRate, steps: all });
  for (let at = 1; at <= step; at++) {
    if (rate(at, steps) === rate(at, record.steps)) continue;
    throw new LowrankError({
      code: 'run.changed',
      what: (names) => `${names('steps', String(steps))} with ${names('schedule', schedule)}`,
      expected: `${record.steps}, which the learning rates of the ${step} steps taken were made for`,
      got: String(steps),
      remedy: (names) =>
        `Begin another run from what was learned (${names('initAdapter')}), or keep ${record.steps} steps.`,
      setting: 'steps',
    });
  }
}

function tablesOf(method: string, options: object): readonly SettingTable[] {
  const { loss = 'sft' } = options as { readonly loss?: string };
  const own = [...(objectiveTables[loss] ?? []), ...((methodTables as TablesByMethod)[method] ?? [])];
  return [...commonTables, ...folderTables, ...tokenTables, ...own];
}

function isPlain(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function changed(name: string, { was, is }: { readonly was: unknown; readonly is: unknown }): LowrankError {
  return new LowrankError({
    code: 'run.changed',
    what: (names) => `${names(name)} of a run that goes on`,
    expected: was === undefined ? 'none, as it began' : `${shown(was)}, as it began`,
    got: shown(is),
    remedy: (names) => `Leave ${names(name)} out to go on, or begin anew: another --output, or ${names('overwrite')}.`,
    setting: name,
  });
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
