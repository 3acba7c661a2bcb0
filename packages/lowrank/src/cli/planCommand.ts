import { LowrankError } from '@lowrank/errors';
import { anyOf, wholeNumber } from '@lowrank/settings';
import type { Command } from 'commander';
import { commonConfigs } from '../jobs/planning/commonConfigs.js';
import { planFineTune } from '../jobs/planning/plan.js';
import type { PlanOptions } from '../jobs/planning/plannedRun.js';
import { planDefaults } from '../jobs/planning/plannedRun.js';
import { planDtypes } from '../jobs/planning/planRun.js';
import { dataSheetNames } from '../jobs/planning/time/dataSheets.js';
import { timeTargets } from '../jobs/planning/time/timeTarget.js';
import { ownersOf } from '../settings/methodTables.js';
import { memorySize, sizeForm } from '../settings/memorySize.js';
import { planCommonTables, planMethods, planTables } from '../settings/planTables.js';
import { taskNames } from '../tasks/task.js';
import { describePlan } from './describePlan.js';
import type { Speaker } from './io.js';
import { choiceFlag, numberFlag } from './numbers.js';
import { addSettingFlags } from './settingFlags.js';

export interface PlanFlags extends PlanOptions {
  json: boolean;
}

/** The flags of `plan` alone: those it shares with other commands are added by the program. */
export function addPlanFlags(command: Command): Command {
  command.description(
    'what a fine-tuning run would need: memory, parameters, operations; without weights and without a GPU',
  );
  return addPlannedFlags(command)
    .option('--memory <size>', 'room for all of it, such as 8GB or 7.5GiB', memoryFlag)
    .option(
      '--on <device>',
      `the expected time of a step and of a run, and how far such figures were off where that was measured, on one ` +
        `of ${dataSheetNames.join(', ')} (by its data sheet), or on this device, which is measured`,
      choiceFlag('--on', timeTargets),
    )
    .option(
      '--steps <n>',
      'with --on: optimizer steps of the run (default: 1000)',
      numberFlag('--steps', wholeNumber({ min: 1 })),
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank plan --config LLaMA-7B --method qlora --double-quantization --r 8 ' +
        '--target-modules q_proj,v_proj --max-length 512 --checkpointing --on rtx4060 --steps 500',
    );
}

/** The flags that say which run a plan is of. */
export function addPlannedFlags(command: Command): Command {
  command
    .option('--config <file>', `a config.json, or one of ${Object.keys(commonConfigs).join(', ')}`)
    .option('--model <folder>', 'a model folder; only its config.json is read')
    .option(
      '--method <name>',
      `${planMethods.join(', ')}: LoRA, LoRA over a quantized model, every weight, or another method as ` +
        `\`train\` has it`,
      choiceFlag('--method', planMethods),
      'lora',
    );
  const before = (name: string): string => {
    const owners = ownersOf(planTables, name);
    return owners.length === 0 || owners.includes('lora') ? '' : `with --method ${anyOf(owners)}: `;
  };
  for (const table of [...planMethods.flatMap((method) => planTables[method]), ...planCommonTables])
    addSettingFlags(command, table, { before, defaults: planDefaults });
  return command
    .option(
      '--dtype <name>',
      `${planDtypes.join(', ')}: of frozen weights that are not quantized (default: the config's)`,
      choiceFlag('--dtype', planDtypes),
    )
    .option(
      '--task <name>',
      `${taskNames.join(', ')} (default: what the config's class is for, else writing text)`,
      choiceFlag('--task', taskNames),
    )
    .option(
      '--num-labels <n>',
      'labels of the head (default: those that the config names, else 2)',
      numberFlag('--num-labels', wholeNumber({ min: 1 })),
    );
}

export async function planCommand(flags: PlanFlags, speaker: Speaker): Promise<void> {
  const report = await planFineTune(flags);
  speaker.result(report, describePlan(report));
}

/** `8GB`, `7.5GiB`, `512MB`, or bytes. */
export function memoryFlag(text: string): number {
  const bytes = memorySize(text);
  if (bytes !== undefined) return bytes;
  throw new LowrankError({
    code: 'cli.memory',
    what: '--memory',
    expected: sizeForm,
    got: text === '' ? 'nothing' : text,
  });
}
