import { dataSettings } from '@lowrank/data';
import type { ContenderName } from '@lowrank/methods';
import { contenderNamed, contenderNames } from '@lowrank/methods';
import type { SettingTable } from '@lowrank/settings';
import { objectiveSettings, trainingSettings } from '@lowrank/trainer';
import type { MethodOptions } from './methodTables.js';
import { methodTables } from './methodTables.js';
import { batchSettings } from './runSettings.js';

/** What can be planned: `qlora` is LoRA over 4-bit codes. */
export type PlanMethod = ContenderName;
export const planMethods = contenderNames;

/** Of the settings of each method, those that memory and time depend on. */
export const planTables = Object.fromEntries(
  planMethods.map((name) => [name, methodTables[contenderNamed(name).method].map(costly)]),
) as unknown as Readonly<Record<PlanMethod, readonly SettingTable[]>>;

/** The same of the settings that every run has. */
export const planCommonTables: readonly SettingTable[] = [
  dataSettings,
  objectiveSettings,
  trainingSettings,
  batchSettings,
].map(costly);

export type PlanMethodOptions = Omit<MethodOptions, 'quantization' | 'doubleQuantization' | 'quantizeEmbeddings'>;

/** A table of the settings that cost something. */
function costly(table: SettingTable): SettingTable {
  const settings = Object.entries(table.settings).filter(([, { cost = false }]) => cost);
  return { ...table, settings: Object.fromEntries(settings) };
}
