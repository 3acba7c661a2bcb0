import { dataSettings } from '@lowrank/data';
import { evaSettings, loraSettings } from '@lowrank/lora';
import { bitfitSettings, bottleneckSettings, prefixSettings, promptSettings, subspaceSettings } from '@lowrank/methods';
import { quantizationSettings } from '@lowrank/quant';
import type { MergedOptions, Setting, SettingTable } from '@lowrank/settings';
import { accepts } from '@lowrank/settings';
import { trainingSettings } from '@lowrank/trainer';
import { batchSettings, loraRunSettings, resumeSettings } from './runSettings.js';

/** The ways to fine-tune, with the settings that each takes. */
export const methodTables = {
  lora: [loraSettings, loraRunSettings, resumeSettings, quantizationSettings],
  full: [],
  bitfit: [bitfitSettings, resumeSettings, quantizationSettings],
  prompt: [promptSettings, resumeSettings, quantizationSettings],
  prefix: [prefixSettings, resumeSettings, quantizationSettings],
  adapter: [bottleneckSettings, resumeSettings, quantizationSettings],
  subspace: [subspaceSettings],
} as const satisfies Readonly<Record<string, readonly SettingTable[]>>;

/** A way to fine-tune. */
export type Method = keyof typeof methodTables;

export const methods = Object.keys(methodTables) as readonly Method[];

/** The settings that belong to some methods and not to others. */
export type MethodOptions = MergedOptions<(typeof methodTables)[Method][number]>;

/** The settings that every run takes. */
export const commonTables = [dataSettings, trainingSettings, batchSettings] as const;

export type CommonOptions = MergedOptions<(typeof commonTables)[number]>;

/** Every declared setting of a run. */
export const allTables: readonly SettingTable[] = [
  ...commonTables,
  ...new Set(Object.values(methodTables).flat()),
  evaSettings,
];

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
