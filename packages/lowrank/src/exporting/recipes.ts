import { LowrankError } from '@lowrank/errors';
import type { ExportedRow, ExportedRun, Recipe } from './exportedRun.js';

/** What the recipe of every target has words for, and what says nothing of the result. */
const carried = new Set(
  [
    'model data columns kind parts completionAfter completionOnlyLoss assistantOnlyLoss template maxLength validation',
    'method baseModel initAdapter evalData output overwrite resume addTokens',
    'evaluateEvery saveEvery saveMinutes keepLast earlyStopping loadBestModelAtEnd samples',
    'steps epochs batchSize gradientAccumulation seed shuffle packing checkpointing quantization doubleQuantization',
    'learningRate schedule warmup minLearningRateRatio cycles decaySteps clip weightDecay',
    'optimizer beta1 beta2 epsilon momentum loss',
    // What the adapter's own configuration says.
    'r alpha targetModules excludeModules rankPattern alphaPattern layersToTransform layersPattern useRslora useDora',
    'loraBias bias modulesToSave trainableTokens fanInFanOut initLoraWeights ensureWeightTying eva loftq virtualTokens',
    // What a run is computed with.
    'backend device memoryBudget tokenizer execution signal onEvent onTransfer',
  ].flatMap((names) => names.split(' ')),
);

/** What of a run a target cannot say, as sentences; `words` gives the reason for settings it knows of. */
export function unsupported(
  target: string,
  { given }: Pick<ExportedRun, 'given'>,
  words: Readonly<Record<string, string>> = {},
): string[] {
  return Object.entries(given).flatMap(([name, value]) => {
    if (carried.has(name) || value === undefined || value === false || value === null || value === 0) return [];
    return [`${name}: ${words[name] ?? `nothing in ${target}'s configuration says it`}.`];
  });
}

/** `{"input_ids", "attention_mask", "labels"}` a line: what TRL and axolotl read as tokenized rows. */
export function tokenLines(rows: readonly ExportedRow[]): string {
  return rows
    .map(({ ids, labels }) => JSON.stringify({ input_ids: ids, attention_mask: ids.map(() => 1), labels }))
    .map((line) => `${line}\n`)
    .join('');
}

/** A schedule as transformers' Trainer takes it: its name, and what it takes besides. */
export function huggingFaceSchedule({ schedule, warmup, scheduleNumbers }: Recipe): Readonly<Record<string, unknown>> {
  if (schedule === 'constant') return { lr_scheduler_type: warmup > 0 ? 'constant_with_warmup' : 'constant' };
  const { minLearningRateRatio, cycles, decaySteps } = scheduleNumbers;
  const numbers = {
    cosine_with_min_lr: { min_lr_rate: minLearningRateRatio },
    cosine_with_restarts: { num_cycles: cycles },
    warmup_stable_decay: { num_decay_steps: decaySteps, min_lr_ratio: minLearningRateRatio },
  }[schedule as string];
  return { lr_scheduler_type: schedule, ...(numbers && { lr_scheduler_kwargs: numbers }) };
}

/** transformers' name of an optimizer. @throws LowrankError `export.unsupported` */
export function huggingFaceOptimizer({ optimizer, momentum }: Recipe): string {
  if (optimizer === 'sgd' && momentum === 0) return 'sgd';
  const names: Readonly<Record<string, string>> = {
    adamw: 'adamw_torch',
    adamw8bit: 'adamw_bnb_8bit',
    lion: 'lion_32bit',
  };
  return (
    names[optimizer] ??
    refuse(`the optimizer ${optimizer}`, `${Object.keys(names).join(', ')}, or sgd without momentum`)
  );
}

export function refuse(what: string, expected: string): never {
  throw new LowrankError({
    code: 'export.unsupported',
    what,
    expected,
    got: 'something that the engine has no words for',
    remedy: 'Train it with Lowrank, or change the setting.',
  });
}

/**
 * The form that all rows have: engines read one per file.
 *
 * @throws LowrankError `export.unsupported` for several, and for forms of other losses
 */
export function onlyForm(rows: readonly ExportedRow[], target: string): 'text' | 'prompt' | 'messages' {
  const forms = new Set(rows.map(({ row }) => ('messages' in row ? 'messages' : 'text' in row ? 'text' : 'prompt')));
  const [form = 'text', other] = forms;
  return other === undefined ? form : refuse(`rows of ${form} and of ${other} in one file for ${target}`, 'one form');
}
