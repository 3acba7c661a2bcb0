import { optimizers, schedules } from '@lowrank/trainer';
import type { Command } from 'commander';
import type { QuantizationFlags } from '../jobs/quantization.js';
import type { VariantFlags } from '../jobs/variantFlags.js';
import { choiceFlag, numberFlag } from './numbers.js';
import type { CommonFlags } from './commonFlags.js';

/** Flags of whatever trains: `train`, `compare`, `sweep` and `intrinsic`. */
export interface TrainingFlags extends CommonFlags, QuantizationFlags, VariantFlags {
  data: string;
  template?: string;
  completionAfter?: string;
  steps?: number;
  batchSize: number;
  gradientAccumulation: number;
  optimizer: (typeof optimizers)[number];
  schedule: (typeof schedules)[number];
  warmup: number;
  weightDecay: number;
  clip: number;
  dropout?: number;
  maxLength?: number;
  seed: number;
  shuffle: boolean;
  packing: boolean;
  checkpointing?: boolean;
}

const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, { whole: true, min });
const atLeastZero = (flag: string): ((text: string) => number) => numberFlag(flag, { min: 0 });

/** Rows, and how they are read. */
export function addDataFlags(command: Command): Command {
  return command
    .requiredOption('--data <file>', 'JSONL rows: {"prompt", "completion"}, {"text"} or {"messages"}')
    .option(
      '--completion-after <text>',
      'rows of text are completions behind the last occurrence of this: the loss is on what follows',
    )
    .option('--template <file>', "chat template in Jinja for rows of messages (default: the model's)")
    .option('--max-length <tokens>', "tokens kept of a row (default: the model's context)", whole('--max-length', 2));
}

/** How long, on how much, and by what rule is trained. */
export function addBudgetFlags(command: Command, { adapters = true }: { readonly adapters?: boolean } = {}): Command {
  const budget = command
    .option('--steps <n>', 'optimizer steps (default: once through the data)', whole('--steps', 1))
    .option('--batch-size <rows>', 'rows of a batch', whole('--batch-size', 1), 8)
    .option('--gradient-accumulation <n>', 'batches of a step', whole('--gradient-accumulation', 1), 1)
    .option(
      '--optimizer <name>',
      `${optimizers.join(' or ')}: moments in 32 bits, or in 8`,
      choiceFlag('--optimizer', optimizers),
      'adamw',
    )
    .option(
      '--schedule <name>',
      `${schedules.join(', ')}, after the warmup`,
      choiceFlag('--schedule', schedules),
      'constant',
    )
    .option('--warmup <steps>', 'steps over which the rate rises from 0', whole('--warmup', 0), 0)
    .option('--weight-decay <x>', 'decoupled weight decay', atLeastZero('--weight-decay'), 0)
    .option('--clip <norm>', 'largest gradient norm; 0 for no limit', atLeastZero('--clip'), 1)
    .option('--seed <n>', 'of shuffling, dropout and initial adapters', whole('--seed', 0), 0)
    .option('--no-shuffle', 'take rows in file order, wrapping')
    .option('--no-packing', 'pad rows to one length instead of laying them one after another')
    .option(
      '--checkpointing',
      'compute each layer again in the backward pass: less memory, more time, the same numbers',
    );
  return adapters
    ? budget.option(
        '--dropout <rate>',
        'dropout before the adapters (default: 0)',
        numberFlag('--dropout', { min: 0, below: 1 }),
      )
    : budget;
}
