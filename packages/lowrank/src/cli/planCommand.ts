import { LowrankError } from '@lowrank/errors';
import { optimizers } from '@lowrank/trainer';
import type { Command } from 'commander';
import { commonConfigs } from '../jobs/commonConfigs.js';
import { planFineTune } from '../jobs/plan.js';
import type { PlanOptions } from '../jobs/plan.js';
import { planDtypes, planMethods } from '../jobs/planRun.js';
import { describePlan } from './describePlan.js';
import type { Speaker } from './io.js';
import { choiceFlag, listFlag, numberFlag } from './numbers.js';
import { tokensFlag } from './variantFlags.js';

export interface PlanFlags extends PlanOptions {
  json: boolean;
}

/** The flags of `plan` alone: those it shares with other commands are added by the program. */
export function addPlanFlags(command: Command): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, { whole: true, min });
  return command
    .description('what a fine-tuning run would need: memory, parameters, operations; without weights and without a GPU')
    .option('--config <file>', `a config.json, or one of ${Object.keys(commonConfigs).join(', ')}`)
    .option('--model <folder>', 'a model folder, of which config.json is read')
    .option(
      '--method <name>',
      `${planMethods.join(', ')}: LoRA, LoRA over a quantized model, every weight, or another method as ` +
        `\`train\` has it`,
      choiceFlag('--method', planMethods),
      'lora',
    )
    .option('--r <rank>', 'rank of the adapters', whole('--r', 1), 8)
    .option(
      '--dropout <rate>',
      'dropout before the adapters (default: 0)',
      numberFlag('--dropout', { min: 0, below: 1 }),
    )
    .option(
      '--target-modules <names>',
      "layers that get adapters: a,b or all-linear (default: PEFT's for the model)",
      listFlag('--target-modules'),
    )
    .option(
      '--modules-to-save <names>',
      'modules that are trained and saved whole, by the ends of their paths',
      listFlag('--modules-to-save'),
    )
    .option(
      '--ensure-weight-tying',
      'an embedding and an output projection that are one stay one when they are trained whole',
    )
    .option(
      '--trainable-tokens <ids>',
      'tokens whose rows of the embedding are trained, by id',
      tokensFlag('--trainable-tokens'),
    )
    .option(
      '--virtual-tokens <n>',
      'virtual tokens of --method prompt and prefix (default: 20)',
      whole('--virtual-tokens', 1),
    )
    .option('--bottleneck <n>', 'width of the adapters of --method adapter (default: 64)', whole('--bottleneck', 1))
    .option('--batch-size <rows>', 'rows of a batch', whole('--batch-size', 1), 1)
    .option('--gradient-accumulation <n>', 'batches of a step', whole('--gradient-accumulation', 1), 1)
    .option(
      '--max-length <tokens>',
      "tokens of each row (default: 1024, or the model's context)",
      whole('--max-length', 2),
    )
    .option('--no-packing', 'a sequence for each row')
    .option('--checkpointing', 'compute each layer again in the backward pass')
    .option(
      '--optimizer <name>',
      `${optimizers.join(' or ')}: moments in 32 bits, or in 8`,
      choiceFlag('--optimizer', optimizers),
      'adamw',
    )
    .option(
      '--dtype <name>',
      `${planDtypes.join(', ')}: of frozen weights that are not quantized (default: the config's)`,
      choiceFlag('--dtype', planDtypes),
    )
    .option('--memory <size>', 'room for all of it, such as 8GB or 7.5GiB', memoryFlag)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank plan --config LLaMA-7B --method qlora --double-quantization --r 8 ' +
        '--target-modules q_proj,v_proj --max-length 512 --checkpointing --memory 8GB',
    );
}

export async function planCommand(flags: PlanFlags, speaker: Speaker): Promise<void> {
  const report = await planFineTune(flags);
  speaker.result(report, describePlan(report));
}

/** `8GB`, `7.5GiB`, `512MB`, or bytes. */
export function memoryFlag(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b|b|)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * (units[unit.toLowerCase()] ?? 0));
  if (number !== '' && bytes > 0) return bytes;
  throw new LowrankError({
    code: 'cli.memory',
    what: '--memory',
    expected: 'a size such as 8GB, 7.5GiB or 512MB',
    got: text === '' ? 'nothing' : text,
  });
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
