import type { EncodedRow, RowSelection, TextTokenizer } from '@lowrank/data';
import {
  evaluationBatches,
  largestBatches,
  readChatTemplate,
  readDataset,
  readTokenizer,
  trainingBatches,
  withVirtualTokens,
} from '@lowrank/data';
import type { AppliedMethod, MethodName } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { Backend, RandomState } from '@lowrank/tensor';
import { scalar } from '@lowrank/tensor';
import type { Execution, TrainEvent, TrainOptions, TrainSession } from '@lowrank/trainer';
import { train } from '@lowrank/trainer';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { openMetricsFile, metricsOf } from '../metricsFile.js';
import { openOutputFolder } from '@lowrank/files';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import type { CommonOptions, MethodOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import type { OpenModel } from './openModel.js';
import { openModel } from './openModel.js';
import { quantizationOf } from './quantization.js';
import { applyMethod, saveMethod } from './methodRun.js';

/** Options of `fineTune`: those declared in tables (settings/methodTables.ts), and what a run is about. */
export interface FineTuneOptions
  extends Pick<TransferEvents, 'onTransfer'>, MethodOptions, CommonOptions, RowSelection {
  readonly backend: BackendOrOpener;
  /** Hugging Face folder, hub id (owner/name or owner/name@revision) or URL. */
  readonly model: string;
  /** JSONL file of rows. */
  readonly data: string;
  /** Default: the model's. */
  readonly tokenizer?: TextTokenizer;
  /** Folder for what is learned, and metrics.jsonl. */
  readonly output: string;
  readonly evalData?: string;
  /**
   * LoRA (the default), every weight (`full`), every weight within a random subspace (`subspace`), or one of the other
   * methods: `bitfit`, `prompt`, `prefix`, `adapter`.
   */
  readonly method?: MethodName;
  readonly execution?: Execution;
  readonly signal?: AbortSignal;
  onEvent?(event: FineTuneEvent): void | Promise<void>;
}

/** The options that are no settings. */
const runOptions: readonly (keyof FineTuneOptions)[] = [
  'backend',
  'model',
  'data',
  'parts',
  'tokenizer',
  'output',
  'evalData',
  'execution',
  'signal',
  'onEvent',
  'onTransfer',
];

export type FineTuneEvent = TrainEvent | { readonly type: 'warning'; readonly text: string };

/** What `lowrank train` prints last. */
export interface FineTuneResult {
  readonly steps: number;
  /** Of the last step; null where none was taken. */
  readonly final_loss: number | null;
  /** Over all label tokens of the evaluation rows; null without them, and after an interruption. */
  readonly eval_loss: number | null;
  readonly tokens: number;
  readonly seconds: number;
  /** Numbers that were trained. */
  readonly trained_parameters: number;
  /** Of the file of weights that was saved. */
  readonly file_bytes: number;
  /** The adapter's folder; null with the method `full`. */
  readonly adapter: string | null;
  /** The Hugging Face folder; null with all methods but `full`. */
  readonly model: string | null;
  readonly interrupted: boolean;
}

/**
 * Fine-tunes a model folder on a file of rows and writes a PEFT folder (or, with `full`, a model folder) and
 * metrics.jsonl. What `lowrank train` does.
 *
 * All that can be known to be wrong is found before the first step. A run that fails leaves nothing behind in `output`.
 */
export async function fineTune(given: FineTuneOptions): Promise<FineTuneResult> {
  checkOptions(given);
  checkValues(given, runOptions);
  const warnings: string[] = [];
  const options = await withFolders(given, {
    onTransfer: given.onTransfer,
    onWarning: (text) => void warnings.push(text),
  });
  for (const text of warnings) await options.onEvent?.({ type: 'warning', text });
  const folder = await openOutputFolder(options.output, { inputs: [options.model] });
  try {
    return await withRows(options);
  } catch (error) {
    await folder.discard();
    throw error;
  }
}

interface Session extends TrainSession {
  readonly applied: AppliedMethod;
}

type RunOptions = FineTuneOptions & { readonly baseModel: string };

async function withRows(options: RunOptions): Promise<FineTuneResult> {
  const { batchSize = 8, gradientAccumulation = 1, seed = 0 } = options;
  const method = methodNamed(options.method ?? 'lora');
  const tokenizer = options.tokenizer ?? (await readTokenizer(options.model));
  const open = backendOnce(options.backend);
  // Weights that are to be trained are laid out anew by the trainer, from the host.
  const model = await openModel(options.model, { ...options, backend: method.saves === 'model' ? undefined : open });
  // Read when they are first asked for: by EVA to begin with, else after the method has taken positions for itself.
  const rowsOnce = once(() => readRows(options, options.data, { tokenizer, model, parts: options.parts }));
  const applied = await applyToModel(model, options, { tokenizer, open, rows: rowsOnce });
  const rows = await rowsOnce();
  const evalRows =
    options.evalData === undefined ? undefined : await readRows(options, options.evalData, { tokenizer, model });
  const steps = options.steps ?? Math.ceil(rows.length / (batchSize * gradientAccumulation));
  const random: RandomState = {
    seed: scalar(seed >>> 0, { dtype: 'u32', name: 'seed' }),
    step: scalar(0, { dtype: 'u32', name: 'rngStep' }),
  };
  const layout = { ...options, batchSize, gradientAccumulation };
  const backend = await open();
  const metrics = await openMetricsFile(options.output);
  try {
    const result = await train<Session>({
      ...trainingOf(options),
      createSession: () => ({
        backend,
        loss: model.trainingLoss(random),
        evaluationLoss: model.loss,
        parameters: applied.parameters,
        random,
        applied,
      }),
      batches: trainingBatches(rows, layout),
      largest: largestBatches(rows, { ...layout, steps }),
      evaluation: evalRows === undefined ? undefined : evaluationBatches(evalRows),
      steps,
      async save(session) {
        await saveMethod(method, session.applied, { output: options.output, origin: options.model });
        await metrics.finish();
        return options.output;
      },
      async onEvent(event) {
        if (event.type === 'step') await metrics.write(metricsOf(event));
        await options.onEvent?.(event);
      },
    });
    return {
      steps: result.steps,
      final_loss: result.finalLoss ?? null,
      eval_loss: result.evaluation?.loss ?? null,
      tokens: result.tokens,
      seconds: result.seconds,
      trained_parameters: sizeOf(applied),
      file_bytes: await weightBytes(options.output, method.saves),
      adapter: method.saves === 'model' ? null : options.output,
      model: method.saves === 'model' ? options.output : null,
      interrupted: result.interrupted,
    };
  } finally {
    await metrics.discard();
  }
}

type TrainerOptions = Pick<
  TrainOptions<Session>,
  | 'learningRate'
  | 'optimizer'
  | 'schedule'
  | 'warmup'
  | 'weightDecay'
  | 'clip'
  | 'checkpointing'
  | 'execution'
  | 'signal'
>;

/** The options that the trainer takes as they are. */
function trainingOf(options: RunOptions): TrainerOptions {
  const { learningRate = 2e-4, clip = 1, optimizer, schedule, warmup, weightDecay } = options;
  const { checkpointing, execution, signal } = options;
  return { learningRate, clip, optimizer, schedule, warmup, weightDecay, checkpointing, execution, signal };
}

async function weightBytes(output: string, saved: 'adapter' | 'model'): Promise<number> {
  return (await stat(join(output, `${saved === 'model' ? 'model' : 'adapter_model'}.safetensors`))).size;
}

async function applyToModel(
  model: OpenModel,
  options: RunOptions,
  {
    tokenizer,
    open,
    rows,
  }: { tokenizer: TextTokenizer; open: () => Promise<Backend>; rows: () => Promise<readonly EncodedRow[]> },
): Promise<AppliedMethod> {
  const { method = 'lora', seed = 0, batchSize = 8 } = options;
  const warnings: string[] = [];
  const applied = await applyMethod(
    model,
    method,
    { ...options, seed },
    {
      tokenizer: () => Promise.resolve(tokenizer),
      quantization: quantizationOf(options),
      data: async () => ({ rows: await rows(), backend: open, batchSize, seed }),
      onWarning: (text) => void warnings.push(text),
    },
  );
  for (const text of warnings) await options.onEvent?.({ type: 'warning', text });
  return applied;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

async function readRows(
  options: FineTuneOptions,
  path: string,
  { tokenizer, model, parts }: { tokenizer: TextTokenizer; model: OpenModel; parts?: RowSelection['parts'] },
): Promise<readonly EncodedRow[]> {
  const { vocabularySize, contextLength } = model;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readDataset(path, tokenizer, {
    vocabularySize,
    maxLength,
    parts,
    completionAfter: options.completionAfter,
    chatTemplate: () => readChatTemplate(options.model, { file: options.template }),
  });
  for (const text of datasetWarnings(dataset, maxLength)) await options.onEvent?.({ type: 'warning', text });
  return withVirtualTokens(dataset.rows, { vocabularySize, virtualTokens: model.module.virtualTokens });
}

/** What a reader of the data should know, as sentences. */
export function datasetWarnings(
  dataset: {
    name: string;
    droppedLines: readonly number[];
    truncatedLines: readonly number[];
    unalignedLines: readonly number[];
  },
  maxLength: number,
): string[] {
  const { name, droppedLines, truncatedLines, unalignedLines } = dataset;
  const warn = (lines: readonly number[], text: string): string[] => {
    if (lines.length === 0) return [];
    const shown = lines.slice(0, 10).join(', ');
    return [
      `${name}: ${lines.length} ${lines.length === 1 ? 'row' : 'rows'} ${text} ` +
        `(${lines.length === 1 ? 'line' : 'lines'} ${shown}${lines.length > 10 ? ', …' : ''})`,
    ];
  };
  return [
    ...warn(droppedLines, 'without a token to learn, left out'),
    ...warn(truncatedLines, `cut to ${maxLength} tokens`),
    ...warn(unalignedLines, 'where the border between prompt and completion lies within a token'),
  ];
}

/** Numbers that are trained, each once. */
function sizeOf({ parameters }: AppliedMethod): number {
  return [...new Set(parameters.map(({ parameter }) => parameter))].reduce((sum, { tensor }) => sum + tensor.size, 0);
}
