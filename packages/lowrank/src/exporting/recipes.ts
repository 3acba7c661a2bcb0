import { LowrankError } from '@lowrank/errors';
import type { ExportedRow, ExportedRun, Recipe } from './exportedRun.js';

/** What the recipe of every target has words for, and what says nothing of the result. */
const carried = new Set([
  ...['model', 'data', 'output', 'evalData', 'method', 'template', 'completionAfter', 'parts', 'maxLength', 'loss'],
  ...['steps', 'epochs', 'batchSize', 'gradientAccumulation', 'learningRate', 'schedule', 'warmup', 'optimizer'],
  ...[
    'beta1',
    'beta2',
    'epsilon',
    'weightDecay',
    'clip',
    'seed',
    'checkpointing',
    'quantization',
    'doubleQuantization',
  ],
  ...['packing', 'shuffle', 'initAdapter', 'backend', 'tokenizer', 'execution', 'signal', 'device', 'overwrite'],
  // What the adapter's own configuration says.
  ...['r', 'alpha', 'targetModules', 'excludeModules', 'rankPattern', 'alphaPattern', 'layersToTransform'],
  ...['layersPattern', 'useRslora', 'useDora', 'loraBias', 'bias', 'modulesToSave', 'trainableTokens', 'fanInFanOut'],
  ...[
    'initLoraWeights',
    'ensureWeightTying',
    'eva',
    'loftq',
    'virtualTokens',
    'validation',
    'evaluateEvery',
    'baseModel',
    'kind',
    'completionOnlyLoss',
    'assistantOnlyLoss',
  ],
  ...['saveEvery', 'keepLast', 'earlyStopping', 'onEvent', 'onTransfer', 'columns', 'resume'],
]);

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

const schedules: Readonly<Record<string, string>> = {
  linear: 'linear',
  cosine: 'cosine',
};

/** transformers' name of a schedule. @throws LowrankError `export.unsupported` */
export function huggingFaceSchedule({ schedule, warmup }: Recipe): string {
  if (schedule === 'constant') return warmup > 0 ? 'constant_with_warmup' : 'constant';
  return schedules[schedule] ?? refuse(`the schedule ${schedule}`, Object.keys(schedules).join(', '));
}

const optimizers: Readonly<Record<string, string>> = {
  adamw: 'adamw_torch',
  adamw8bit: 'adamw_bnb_8bit',
};

/** transformers' name of an optimizer. @throws LowrankError `export.unsupported` */
export function huggingFaceOptimizer({ optimizer }: Recipe): string {
  return optimizers[optimizer] ?? refuse(`the optimizer ${optimizer}`, Object.keys(optimizers).join(', '));
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
