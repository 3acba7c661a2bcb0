import { dataSettings } from '@lowrank/data';
import { loraSettings } from '@lowrank/lora';
import type { MethodName } from '@lowrank/methods';
import { anyOf } from '@lowrank/settings';
import { objectiveSettings, trainingSettings } from '@lowrank/trainer';
import type { Command } from 'commander';
import type { FineTuneTraining } from '../jobs/fineTuneTraining.js';
import { methodTables, objectiveTables, ownersOf } from '../settings/methodTables.js';
import type { FolderOptions, TablesByMethod } from '../settings/methodTables.js';
import { batchSettings } from '../settings/runSettings.js';
import { taskSettings } from '../settings/taskSettings.js';
import type { ComputingFlags } from './commonFlags.js';
import type { FlagChoice } from './settingFlags.js';
import { addSettingFlags } from './settingFlags.js';

/** Flags of whatever trains: `train`, `compare`, `sweep` and `intrinsic`. */
export type TrainingFlags = ComputingFlags & FineTuneTraining;

/** Flags of `train`. */
export type TrainFlags = TrainingFlags &
  FolderOptions & {
    output: string;
    evalData?: string;
    method: MethodName;
  };

/** Rows, and how they are read. */
export function addDataFlags(command: Command): Command {
  return addSettingFlags(
    command.requiredOption(
      '--data <file>',
      'rows: JSON lines, a JSON array, CSV, TSV, Parquet, text, also in gzip; a folder of these; - for standard input',
    ),
    dataSettings,
  );
}

/** What the rows are for. */
export function addTaskFlags(command: Command): Command {
  return addSettingFlags(command, taskSettings);
}

/** How long, on how much, and by what rule is trained. */
export function addBudgetFlags(
  command: Command,
  { adapters = true, rate = false }: { readonly adapters?: boolean; readonly rate?: boolean } = {},
): Command {
  addSettingFlags(command, trainingSettings, { filled: true, without: rate ? [] : ['learningRate'] });
  addSettingFlags(command, batchSettings, { filled: true });
  return adapters ? addSettingFlags(command, loraSettings, { only: ['dropout'] }) : command;
}

/** What is minimized, and the settings of each loss. */
export function addLossFlags(command: Command): Command {
  addSettingFlags(command, objectiveSettings, { filled: true });
  const before = (name: string): string => `with --loss ${anyOf(ownersOf(objectiveTables, name))}: `;
  for (const table of Object.values(objectiveTables).flat()) addSettingFlags(command, table, { before });
  return command;
}

/** The settings of methods, each once; help says which method it is for, where that is not LoRA. */
export function addMethodFlags(
  command: Command,
  methods: readonly (keyof typeof methodTables)[],
  choice: FlagChoice = {},
): Command {
  const before = (name: string): string => {
    const owners = ownersOf(methodTables, name);
    return owners.length === 0 || owners.includes('lora') || methods.length === 1
      ? ''
      : `with --method ${anyOf(owners)}: `;
  };
  for (const table of methods.flatMap((method) => (methodTables as TablesByMethod)[method] ?? []))
    addSettingFlags(command, table, { before, ...choice });
  return command;
}
