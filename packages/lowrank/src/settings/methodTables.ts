import { dataSettings } from '@lowrank/data';
import type { Method, MethodName, methods as registered } from '@lowrank/methods';
import { methodNamed, methodNames } from '@lowrank/methods';
import { quantizationSettings } from '@lowrank/quant';
import type { MergedOptions, Setting, SettingTable } from '@lowrank/settings';
import { accepts } from '@lowrank/settings';
import type { ObjectiveOptions } from '@lowrank/trainer';
import { objectiveNamed, objectiveNames, objectiveSettings, trainingSettings } from '@lowrank/trainer';
import { taskSettings } from './taskSettings.js';
import {
  batchSettings,
  checkpointSettings,
  continueSettings,
  outputSettings,
  resumeSettings,
  sampleSettings,
  tokenSettings,
} from './runSettings.js';

type RegisteredTables = (typeof registered)[MethodName]['settings'][number];

/** The ways to fine-tune, with the settings that each takes in a run. */
export const methodTables = Object.fromEntries(
  methodNames.map((name) => [name, tablesOf(methodNamed(name))]),
) as unknown as Readonly<Record<MethodName, readonly SettingTable[]>>;

/** What `train` alone takes of a model's vocabulary. */
export const tokenTables = [tokenSettings] as const;

export type TokenOptions = MergedOptions<(typeof tokenTables)[number]>;

function tablesOf({ settings, resumes, overCodes }: Method): readonly SettingTable[] {
  return [...settings, ...(resumes ? [resumeSettings] : []), ...(overCodes ? [quantizationSettings] : [])];
}

/** The settings that belong to some methods and not to others. */
export type MethodOptions = MergedOptions<RegisteredTables | typeof resumeSettings | typeof quantizationSettings>;

/** The settings that belong to some losses and not to others. */
export const objectiveTables: TablesByMethod = Object.fromEntries(
  objectiveNames.map((name) => [name, [objectiveNamed(name).settings]]),
);

/** The settings that every run takes. */
export const commonTables = [dataSettings, taskSettings, objectiveSettings, trainingSettings, batchSettings] as const;

export type CommonOptions = MergedOptions<(typeof commonTables)[number]> & ObjectiveOptions;

/** What is evaluated and saved on the way. */
export type CheckpointOptions = MergedOptions<typeof checkpointSettings>;

/** The settings of a run with a folder of its own, beside them: not of the many runs of a study. */
export const folderTables = [checkpointSettings, sampleSettings, continueSettings, outputSettings] as const;

export type FolderOptions = MergedOptions<(typeof folderTables)[number]>;

export type OutputOptions = MergedOptions<typeof outputSettings>;

/** The settings that one of these tables declares under a name. */
export function settingIn(tables: readonly SettingTable[], name: string): Setting | undefined {
  return tables.find(({ settings }) => Object.hasOwn(settings, name))?.settings[name];
}

/** Tables by the names of the methods that they belong to. */
export type TablesByMethod = Readonly<Record<string, readonly SettingTable[]>>;

/** The methods that take an option; with a value: that take it with this value. */
export function ownersOf(tables: TablesByMethod, name: string, value?: unknown): string[] {
  return Object.keys(tables).filter((method) => takes(tables[method] ?? [], name, value));
}

/** Whether these tables take an option with this value, and have what it requires. */
export function takes(tables: readonly SettingTable[], name: string, value?: unknown): boolean {
  const setting = settingIn(tables, name);
  if (setting === undefined) return false;
  if (value === undefined) return true;
  const { requires = [] } = setting;
  return (
    accepts(setting, value) &&
    requires.every(({ setting: other, when }) => when?.(value) === false || settingIn(tables, other) !== undefined)
  );
}
