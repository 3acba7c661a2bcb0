import type { EncodedRow, TrainingRows } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { AppliedMethod } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { RandomState } from '@lowrank/tensor';
import { scalar } from '@lowrank/tensor';
import type { TrainOptions, TrainResult, TrainSession } from '@lowrank/trainer';
import { objectiveNamed, train } from '@lowrank/trainer';
import { checkPrecision } from '../device.js';
import type { PlannedPart } from '../jobs/plannedBytes.js';
import { mayShrink, smallerBatches } from '../jobs/smallerBatches.js';
import { applyMethod } from '../jobs/methodRun.js';
import { measureName } from '../jobs/metricsOfRun.js';
import type { OpenedModel } from '../jobs/openModel.js';
import { paddingWarnings } from './paddingWarning.js';
import type { TaskTraining } from './taskRun.js';
import type { RunHooks, RunOptions, TrainingModel } from './runOptions.js';
import type { RunState } from './runState.js';
import type { Learned } from './savingOptions.js';
import { savingOptions } from './savingOptions.js';
import type { RunData } from './textRun.js';
import { readTextRun } from './textRun.js';

export interface FinishedRun extends Learned {
  readonly result: TrainResult<TrainSession<string>>;
  /** Rows of the evaluation, for a look at what was learned: all of them, or some of those that stay in a file. */
  readonly held: readonly EncodedRow[];
}

/**
 * Reads the rows, puts the method into the model, and trains: what `fineTune` and `lowrank train` have in common. Where
 * that fails, the method is taken out again: the model can be trained anew.
 */
export async function runTraining(
  model: TrainingModel | TaskTraining,
  options: RunOptions,
  hooks: RunHooks,
): Promise<FinishedRun> {
  const method = methodNamed(options.method ?? 'lora');
  // Read when it is first asked for: by EVA to begin with, else after the method has taken positions for itself.
  const dataOnce = once(() => readData(model, options, hooks));
  const applied = await prepareMethod(model, options, { rows: async () => (await dataOnce()).documents, hooks });
  const learned = { method, applied };
  let data: RunData | undefined;
  try {
    data = await dataOnce();
    for (const text of paddingWarnings(model.open.module, applied, data.known))
      await hooks.onEvent?.({ type: 'warning', text });
    return { ...learned, ...(await trainOn(model, options, { hooks, learned, data })) };
  } catch (error) {
    applied.remove();
    throw error;
  } finally {
    await data?.close();
  }
}

export function isTask(model: TrainingModel | TaskTraining): model is TaskTraining {
  return 'task' in model.open;
}

/** Reads what a run trains on, in the form that its loss takes. */
async function readData(model: TrainingModel | TaskTraining, options: RunOptions, hooks: RunHooks): Promise<RunData> {
  if (isTask(model)) return (await import('./taskRun.js')).readTaskRun(model, options, hooks);
  const objective = objectiveNamed(options.loss ?? 'sft');
  if (objective.rows === 'sft') return readTextRun(model, options, hooks);
  const { readPreferenceRun } = await import('./preferenceRun.js');
  return readPreferenceRun(model, options, { hooks, objective, kind: objective.rows });
}

async function trainOn(
  model: TrainingModel | TaskTraining,
  options: RunOptions,
  { hooks, learned, data }: { readonly hooks: RunHooks; readonly learned: Learned; readonly data: RunData },
): Promise<Pick<FinishedRun, 'result' | 'held'>> {
  const { epochs = 1, evaluateEvery, evaluationMetrics = [], seed = 0 } = options;
  const steps = options.steps ?? Math.ceil(epochs * data.stepsPerEpoch);
  const { batches, largest, evaluation, held = [], loss, measured } = await data.layOut(steps);
  if (evaluateEvery !== undefined && evaluation === undefined)
    throw nothingToEvaluate('evaluateEvery', String(evaluateEvery));
  const [decides = 'loss'] = evaluationMetrics;
  if (evaluationMetrics.length > 0 && evaluation === undefined)
    throw nothingToEvaluate('evaluationMetrics', evaluationMetrics.join(','));
  if (decides !== 'loss' && measured === undefined) throw notOfPairs(evaluationMetrics, options.loss);
  await hooks.planned?.(steps);
  const random: RandomState = {
    seed: scalar(seed >>> 0, { dtype: 'u32', name: 'seed' }),
    step: scalar(0, { dtype: 'u32', name: 'rngStep' }),
  };
  const backend = await model.backend();
  checkPrecision(backend, options.precision);
  const { method, applied } = learned;
  const { betweenSteps } = hooks;
  const part = { spec: backend.spec, random, parameters: applied.parameters, options };
  const whole = { ...part, loss: loss(random), microBatches: largest };
  const checkpointing = await checkpointingOf(model, options, whole, hooks);
  const training = train<TrainSession<string>, string>({
    ...trainerOptions(options),
    checkpointing,
    ...savingOptions(options, hooks, learned),
    createSession: () => ({
      backend,
      loss: loss(random),
      evaluationLoss: loss(),
      parameters: applied.parameters,
      constants: applied.constants,
      random,
    }),
    batches,
    largest,
    evaluation,
    measure: measured,
    bestBy: decides === 'loss' ? undefined : { measure: measureName(decides), isHigherBetter: true },
    // What the run goes on from has been trained already.
    reference: hooks.baseline === true && options.resume === undefined ? () => loss() : undefined,
    steps,
    betweenSteps: betweenSteps && { ...betweenSteps, run: (_, at) => betweenSteps.run(learned, at) },
    save: hooks.save && ((_, at) => hooks.save?.(method, applied, at) ?? Promise.resolve('')),
    onEvent: (event) => hooks.onEvent?.(event),
  });
  try {
    return { result: await training, held };
  } catch (error) {
    if (hooks.outOfMemory !== undefined && mayShrink(error, options)) {
      hooks.outOfMemory({
        given: await bytesOf(whole),
        smaller: await smallerBytes(part, { options, data, steps }),
      });
    }
    throw error;
  }
}

function nothingToEvaluate(setting: string, value: string): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => names(setting, value),
    expected: (names) => `rows to evaluate (${names('evalData')} or ${names('validation')}) with it`,
    got: 'none',
    setting,
  });
}

/** Of rows with two answers nothing is written. */
function notOfPairs(metrics: readonly string[], loss = 'sft'): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('evaluationMetrics', metrics.join(','))} with ${names('loss', loss)}`,
    expected: 'rows of prompts and completions',
    got: 'rows of preferences, which have their own measures',
    setting: 'evaluationMetrics',
  });
}

type TrainerOptions = Partial<TrainOptions<TrainSession<string>, string>>;

async function smallerBytes(
  part: Omit<PlannedPart, 'loss' | 'microBatches'>,
  { options, data, steps }: { readonly options: RunOptions; readonly data: RunData; readonly steps: number },
): Promise<number | undefined> {
  const layout = smallerBatches(options);
  // Pairs are read and laid out in one go.
  if (layout === undefined || objectiveNamed(options.loss ?? 'sft').rows !== 'sft') return undefined;
  const { largest, loss } = await data.layOut(steps, layout);
  return bytesOf({ ...part, loss: loss(part.random), microBatches: largest });
}

/**
 * Whether layers are computed twice, and how many where a budget decides it. @throws LowrankError `cli.memoryBudget`
 */
async function checkpointingOf(
  { open }: Pick<TrainingModel | TaskTraining, 'open'>,
  options: RunOptions,
  part: PlannedPart,
  hooks: Pick<RunHooks, 'onEvent'>,
): Promise<boolean | number | undefined> {
  const { memoryBudget, checkpointing } = options;
  if (memoryBudget === undefined) return checkpointing;
  const { recomputedWithin } = await import('../jobs/recomputedWithin.js');
  const { layers } = open.module.shape;
  const found = await recomputedWithin(memoryBudget, layers, part);
  await hooks.onEvent?.({
    type: 'memoryPlanned',
    bytes: found.bytes,
    recomputedLayers: found.layers === true ? layers : found.layers,
    layers,
  });
  return found.layers;
}

/** Pages whose memory suffices do not load the planner. */
async function bytesOf(part: PlannedPart): Promise<number | undefined> {
  const { plannedBytes } = await import('../jobs/plannedBytes.js');
  return plannedBytes(part);
}

/** The options that the trainer takes as they are. */
function trainerOptions(
  options: RunOptions,
): Omit<TrainerOptions, 'learningRate'> & Required<Pick<TrainerOptions, 'learningRate'>> {
  const { learningRate = 2e-4, clip = 1, weightDecay, onNan, onSpike, spikeFactor, snapshotEvery } = options;
  const { schedule, warmup, minLearningRateRatio, cycles, decaySteps } = options;
  const { optimizer, beta1, beta2, epsilon, momentum, nesterov, checkpointing, execution, signal } = options;
  const numbers = { learningRate, clip, beta1, beta2, epsilon, momentum, nesterov, weightDecay };
  const scheduled = { schedule, warmup, minLearningRateRatio, cycles, decaySteps };
  const faults = { onNan, onSpike, spikeFactor, snapshotEvery };
  return { ...numbers, ...scheduled, ...faults, optimizer, checkpointing, execution, signal };
}

/** Puts the run's method into the model. */
export async function prepareMethod(
  model: TrainingModel | TaskTraining,
  options: RunOptions,
  { rows, hooks }: { readonly rows: () => Promise<TrainingRows>; readonly hooks: Pick<RunHooks, 'onEvent'> },
): Promise<AppliedMethod> {
  const { method = 'lora', seed = 0, batchSize = 8, resume } = options;
  if (resume !== undefined && resume.method !== method) throw otherMethod(resume, method);
  const { tokenizer, quantization, backend } = model;
  const warnings = dropoutWarnings(model.open.module);
  const applied = await applyMethod(
    model.open,
    method,
    { ...options, seed },
    {
      tokenizer: () => Promise.resolve(tokenizer),
      quantization,
      data: async () => ({ rows: await rows(), backend, batchSize, seed }),
      onWarning: (text) => void warnings.push(text),
      // A reference is what the model says as it began, so that is made again before the saved state comes over it.
      restored: objectiveNamed(options.loss ?? 'sft').hasReference
        ? undefined
        : resume && { form: resume.form ?? undefined },
    },
  );
  for (const text of warnings) await hooks.onEvent?.({ type: 'warning', text });
  return applied;
}

function otherMethod(resume: RunState, method: string): LowrankError {
  return new LowrankError({
    code: 'run.changed',
    what: (names) => names('method', method),
    expected: `${resume.method}, as the state that the run goes on from`,
    got: method,
    setting: 'method',
  });
}

/** transformers applies a config's dropouts to the base while it trains; Lowrank has none there. */
function dropoutWarnings({ dropouts }: OpenedModel['module']): string[] {
  if (dropouts.length === 0) return [];
  const names = dropouts.join(', ');
  return [
    `config.json: ${names}: transformers trains the base with it, Lowrank does not. --dropout is the adapters’ own.`,
  ];
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
