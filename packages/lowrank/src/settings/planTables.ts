import { dataSettings } from '@lowrank/data';
import type { quantizationSettings } from '@lowrank/quant';
import type { MergedOptions, SettingTable } from '@lowrank/settings';
import { trainingSettings } from '@lowrank/trainer';
import { methodTables } from './methodTables.js';
import { batchSettings } from './runSettings.js';

const { lora, full, bitfit, prompt, prefix, adapter } = methodTables;

/** What can be planned, with the settings that each takes: `qlora` is LoRA over 4-bit codes. */
const methods = { lora, qlora: lora, full, bitfit, prompt, prefix, adapter } as const;

export type PlanMethod = keyof typeof methods;
export const planMethods = Object.keys(methods) as readonly PlanMethod[];

/** Of the settings of each method, those that memory and time depend on. */
export const planTables = Object.fromEntries(
  planMethods.map((name) => [name, methods[name].map(costly)]),
) as unknown as Readonly<Record<PlanMethod, readonly SettingTable[]>>;

/** The same of the settings that every run has. */
export const planCommonTables: readonly SettingTable[] = [dataSettings, trainingSettings, batchSettings].map(costly);

export type PlanMethodOptions = MergedOptions<
  Exclude<(typeof methods)[PlanMethod][number], typeof quantizationSettings>
>;

/** A table of the settings that cost something. */
function costly(table: SettingTable): SettingTable {
  const settings = Object.entries(table.settings).filter(([, { cost = false }]) => cost);
  return { ...table, settings: Object.fromEntries(settings) };
}
