import type {
  ChatTemplate,
  EncodedRow,
  LossMask,
  RowSelection,
  RowSource,
  SamplerState,
  TextTokenizer,
} from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import {
  evaluationBatches,
  largestBatches,
  readDataset,
  selectionOf,
  splitsOf,
  trainingBatches,
  withVirtualTokens,
} from '@lowrank/data';
import type { AppliedMethod, Method, MethodName } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend, RandomState } from '@lowrank/tensor';
import { scalar } from '@lowrank/tensor';
import type {
  BetweenSteps,
  Ended,
  Execution,
  TrainEvent,
  TrainOptions,
  TrainResult,
  TrainSession,
} from '@lowrank/trainer';
import { train } from '@lowrank/trainer';
import { applyMethod } from '../jobs/methodRun.js';
import type { OpenModel } from '../jobs/openModel.js';
import type { CheckpointOptions, CommonOptions, MethodOptions } from '../settings/methodTables.js';
import { datasetWarnings } from './datasetWarnings.js';
import { paddingWarnings } from './paddingWarning.js';
import type { RunState } from './runState.js';
import type { Learned, SavingHooks } from './savingOptions.js';
import { savingOptions } from './savingOptions.js';

/** A model to train, with what its texts need. */
export interface TrainingModel {
  readonly open: OpenModel;
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: () => Promise<ChatTemplate | undefined>;
  readonly backend: () => Promise<Backend>;
  /** How it was quantized while it was loaded. */
  readonly quantization: QuantizationSettings | undefined;
}

/** A run: the options that are declared in tables (settings/methodTables.ts), and what it is about. */
export interface RunOptions extends Omit<MethodOptions, 'initAdapter'>, CommonOptions, CheckpointOptions, RowSelection {
  readonly method?: MethodName | undefined;
  readonly data: RowSource;
  /** Rows whose loss is computed at the end. */
  readonly evalData?: RowSource | undefined;
  /** An adapter to go on from. */
  readonly initAdapter?: string | ModelFiles | undefined;
  /** What the adapter is for, as it was given. */
  readonly baseModel: string;
  /** The state of a run to go on with, with the same options and rows. */
  readonly resume?: RunState | undefined;
  readonly execution?: Execution | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type RunEvent = TrainEvent | DataEvent | { readonly type: 'warning'; readonly text: string };

/** Rows that were read: those to train on first, then those of the evaluation. */
export interface DataEvent {
  readonly type: 'data';
  readonly name: string;
  /** What forms they have, in words. */
  readonly forms: string;
  readonly rows: number;
  readonly tokens: number;
  readonly labelTokens: number;
}

/** How rows are read. */
export type ReadingOptions = Pick<RunOptions, 'maxLength' | keyof LossMask> & Omit<RowSelection, 'parts'>;

export interface RunHooks extends SavingHooks {
  /** Called with the number of steps in all, before the first. */
  readonly planned?: ((steps: number) => void | Promise<void>) | undefined;
  /** Something between two steps, with the weights of exactly that step. */
  readonly betweenSteps?: BetweenSteps<Learned> | undefined;
  /** Saves what was learned, at the end and when the signal is aborted; returns where. */
  readonly save?: ((method: Method, applied: AppliedMethod, at: Ended) => Promise<string>) | undefined;
  readonly onEvent?: ((event: RunEvent) => void | Promise<void>) | undefined;
}

export interface FinishedRun extends Learned {
  readonly result: TrainResult<TrainSession>;
}

/** Reads the rows, puts the method into the model, and trains: what `fineTune` and `lowrank train` have in common. */
export async function runTraining(model: TrainingModel, options: RunOptions, hooks: RunHooks): Promise<FinishedRun> {
  const { batchSize = 8, gradientAccumulation = 1, seed = 0 } = options;
  const method = methodNamed(options.method ?? 'lora');
  // Read when they are first asked for: by EVA to begin with, else after the method has taken positions for itself.
  const rowsOnce = once(() => readRows(model, options.data, { options, hooks, parts: options.parts }));
  const applied = await prepareMethod(model, options, { rows: rowsOnce, hooks });
  const rows = await rowsOnce();
  for (const text of paddingWarnings(model.open.module, applied, rows))
    await hooks.onEvent?.({ type: 'warning', text });
  const evalRows = await readEvaluationRows(model, options, hooks);
  const { epochs = 1, evaluateEvery, resume } = options;
  const steps = options.steps ?? Math.ceil((epochs * rows.length) / (batchSize * gradientAccumulation));
  if (evaluateEvery !== undefined && evalRows === undefined) throw nothingToEvaluate(evaluateEvery);
  await hooks.planned?.(steps);
  const random: RandomState = {
    seed: scalar(seed >>> 0, { dtype: 'u32', name: 'seed' }),
    step: scalar(0, { dtype: 'u32', name: 'rngStep' }),
  };
  const state = resume?.data as SamplerState | undefined;
  const layout = { ...options, batchSize, gradientAccumulation, state };
  const backend = await model.backend();
  const learned = { method, applied };
  const { betweenSteps } = hooks;
  const result = await train<TrainSession>({
    ...trainerOptions(options),
    ...savingOptions(options, hooks, learned),
    createSession: () => ({
      backend,
      loss: model.open.trainingLoss(random, options),
      evaluationLoss: model.open.loss,
      parameters: applied.parameters,
      constants: applied.constants,
      random,
    }),
    batches: trainingBatches(rows, layout),
    largest: largestBatches(rows, { ...layout, steps: Math.max(1, steps - (resume?.step ?? 0)) }),
    evaluation: evalRows === undefined ? undefined : evaluationBatches(evalRows),
    steps,
    betweenSteps: betweenSteps && { ...betweenSteps, run: (_, at) => betweenSteps.run(learned, at) },
    save: hooks.save && ((_, at) => hooks.save?.(method, applied, at) ?? Promise.resolve('')),
    onEvent: (event) => hooks.onEvent?.(event),
  });
  return { ...learned, result };
}

function nothingToEvaluate(evaluateEvery: number): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('evaluateEvery', String(evaluateEvery)),
    expected: (names) => `rows to evaluate (${names('evalData')}) with it`,
    got: 'none',
    setting: 'evaluateEvery',
  });
}

/** The options that the trainer takes as they are. */
function trainerOptions(
  options: RunOptions,
): Pick<TrainOptions<TrainSession>, 'learningRate'> & Partial<TrainOptions<TrainSession>> {
  const { learningRate = 2e-4, clip = 1, weightDecay } = options;
  const { schedule, warmup, minLearningRateRatio, cycles, decaySteps } = options;
  const { optimizer, beta1, beta2, epsilon, momentum, nesterov, checkpointing, execution, signal } = options;
  const numbers = { learningRate, clip, beta1, beta2, epsilon, momentum, nesterov, weightDecay };
  const scheduled = { schedule, warmup, minLearningRateRatio, cycles, decaySteps };
  return { ...numbers, ...scheduled, optimizer, checkpointing, execution, signal };
}

/** Puts the run's method into the model. */
export async function prepareMethod(
  model: TrainingModel,
  options: RunOptions,
  { rows, hooks }: { readonly rows: () => Promise<readonly EncodedRow[]>; readonly hooks: Pick<RunHooks, 'onEvent'> },
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
      restored: resume && { form: resume.form ?? undefined },
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
function dropoutWarnings({ dropouts }: OpenModel['module']): string[] {
  if (dropouts.length === 0) return [];
  const names = dropouts.join(', ');
  return [
    `config.json: ${names}: transformers trains the base with it, Lowrank does not. --dropout is the adapters’ own.`,
  ];
}

/** The rows given for the evaluation, or those that a folder of data has for it. */
async function readEvaluationRows(
  model: TrainingModel,
  options: RunOptions,
  hooks: RunHooks,
): Promise<readonly EncodedRow[] | undefined> {
  const { data, evalData } = options;
  if (evalData !== undefined) return readRows(model, evalData, { options, hooks });
  const splits = await splitsOf(data);
  if (!splits.includes('validation')) return undefined;
  return readRows(model, data, { options: { ...options, split: 'validation' }, hooks });
}

/** Rows of a source as the model takes them. */
export async function readRows(
  { open, tokenizer, chatTemplate }: Pick<TrainingModel, 'open' | 'tokenizer' | 'chatTemplate'>,
  source: RowSource,
  {
    options,
    hooks,
    parts,
  }: {
    readonly options: ReadingOptions;
    readonly hooks: Pick<RunHooks, 'onEvent'>;
    readonly parts?: RowSelection['parts'];
  },
): Promise<readonly EncodedRow[]> {
  const { vocabularySize, contextLength, module } = open;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readDataset(source, tokenizer, {
    vocabularySize,
    ...selectionOf(options),
    completionOnlyLoss: options.completionOnlyLoss,
    assistantOnlyLoss: options.assistantOnlyLoss,
    maxLength,
    parts,
    chatTemplate,
  });
  const { name, forms, rows, tokens, labelTokens } = dataset;
  await hooks.onEvent?.({ type: 'data', name, forms, rows: rows.length, tokens, labelTokens });
  for (const text of datasetWarnings(dataset, maxLength)) await hooks.onEvent?.({ type: 'warning', text });
  return withVirtualTokens(dataset.rows, { vocabularySize, virtualTokens: module.virtualTokens });
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
