import type { EncodedRow, TextTokenizer } from '@lowrank/data';
import { readChatTemplate, readDataset, readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { RandomState } from '@lowrank/tensor';
import { scalar } from '@lowrank/tensor';
import type { Execution, OptimizerName, ScheduleName, TrainEvent, TrainSession } from '@lowrank/trainer';
import { train } from '@lowrank/trainer';
import { backendOnce } from '../device.js';
import type { BackendOrOpener } from '../device.js';
import { openMetricsFile, metricsOf } from '../metricsFile.js';
import { openOutputFolder } from '../outputFolder.js';
import { evaluationWindows, largestWindow, trainingWindows } from '../windows.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import type { OpenModel } from './openModel.js';
import { openModel } from './openModel.js';
import type { QuantizationFlags } from './quantization.js';
import { quantizationOf } from './quantization.js';
import { trainAdapter, trainWeights } from './trainable.js';
import type { Trainable } from './trainable.js';
import { variantFlags } from './variantFlags.js';
import type { VariantFlags } from './variantFlags.js';

export const methods = ['lora', 'full'] as const;

export interface FineTuneOptions extends Pick<TransferEvents, 'onTransfer'>, QuantizationFlags, VariantFlags {
  readonly backend: BackendOrOpener;
  /** Hugging Face folder, hub id (owner/name or owner/name@revision) or URL. */
  readonly model: string;
  /** JSONL file of rows. */
  readonly data: string;
  /** A Jinja file that makes text of rows of messages; default: the model's chat template. */
  readonly template?: string;
  /** Folder for what is learned, and metrics.jsonl. */
  readonly output: string;
  readonly evalData?: string;
  /** Adapters (the default) or every weight. */
  readonly method?: (typeof methods)[number];
  /** Default: once through the data. */
  readonly steps?: number;
  /** Default 8. */
  readonly batchSize?: number;
  readonly gradientAccumulation?: number;
  /** Default 2e-4. */
  readonly learningRate?: number;
  /** AdamW with moments in f32 (the default), or in 8 bits. */
  readonly optimizer?: OptimizerName;
  readonly schedule?: ScheduleName;
  readonly warmup?: number;
  readonly weightDecay?: number;
  /** Default 1; 0 for no limit. */
  readonly clip?: number;
  /** Default 8. */
  readonly r?: number;
  /** Default r. */
  readonly alpha?: number;
  readonly dropout?: number;
  /** Names, or ['all-linear']; default: PEFT's for the model. */
  readonly targetModules?: readonly string[];
  /** Default: the model's context. */
  readonly maxLength?: number;
  readonly seed?: number;
  readonly shuffle?: boolean;
  readonly packing?: boolean;
  /** PEFT folder (or hub id, or URL) to go on from. */
  readonly initAdapter?: string;
  /** Compute each layer again in the backward pass rather than keep what it made: less memory, more time, the same numbers. */
  readonly checkpointing?: boolean;
  readonly execution?: Execution;
  readonly signal?: AbortSignal;
  onEvent?(event: FineTuneEvent): void | Promise<void>;
}

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
  /** The PEFT folder; null with the method `full`. */
  readonly adapter: string | null;
  /** The Hugging Face folder; null with the method `lora`. */
  readonly model: string | null;
  readonly interrupted: boolean;
}

/**
 * Fine-tunes a model folder on a file of rows and writes a PEFT folder (or, with `full`, a model folder) and metrics.jsonl. What `lowrank train` does.
 *
 * All that can be known to be wrong is found before the first step. A run that fails leaves nothing behind in `output`.
 */
export async function fineTune(given: FineTuneOptions): Promise<FineTuneResult> {
  checkFlags(given);
  const warnings: string[] = [];
  const options = await withFolders(given, { onTransfer: given.onTransfer, onWarning: (text) => void warnings.push(text) });
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
  readonly trainable: Trainable;
}

async function withRows(options: FineTuneOptions & { readonly baseModel: string }): Promise<FineTuneResult> {
  const { batchSize = 8, gradientAccumulation = 1, method = 'lora', seed = 0 } = options;
  const tokenizer = await readTokenizer(options.model);
  const open = backendOnce(options.backend);
  // Weights that are to be trained are laid out anew by the trainer, from the host.
  const model = await openModel(options.model, { ...options, backend: method === 'full' ? undefined : open });
  const rows = await readRows(options, options.data, { tokenizer, model });
  const evalRows = options.evalData === undefined ? undefined : await readRows(options, options.evalData, { tokenizer, model });
  const steps = options.steps ?? Math.ceil(rows.length / (batchSize * gradientAccumulation));
  const random: RandomState = { seed: scalar(seed >>> 0, { dtype: 'u32', name: 'seed' }), step: scalar(0, { dtype: 'u32', name: 'draw' }) };
  const told: string[] = [];
  const trainable = method === 'full' ? trainWeights(model) : await trainAdapter(model, { ...options, seed, onWarning: (text) => void told.push(text) }, quantizationOf(options));
  for (const text of told) await options.onEvent?.({ type: 'warning', text });
  const windows = { ...options, batchSize, gradientAccumulation };
  const backend = await open();
  const metrics = await openMetricsFile(options.output);
  try {
    const result = await train<Session>({
      createSession: () => ({ backend, loss: model.trainingLoss(random), evaluationLoss: model.loss, parameters: trainable.parameters, random, trainable }),
      windows: trainingWindows(rows, windows),
      largest: largestWindow(rows, { ...windows, steps }),
      evaluation: evalRows === undefined ? undefined : evaluationWindows(evalRows),
      steps,
      learningRate: options.learningRate ?? 2e-4,
      optimizer: options.optimizer,
      schedule: options.schedule,
      warmup: options.warmup,
      weightDecay: options.weightDecay,
      clip: options.clip ?? 1,
      checkpointing: options.checkpointing,
      execution: options.execution,
      signal: options.signal,
      async save(session) {
        await session.trainable.save(options.output);
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
      adapter: method === 'lora' ? options.output : null,
      model: method === 'full' ? options.output : null,
      interrupted: result.interrupted,
    };
  } finally {
    await metrics.discard();
  }
}

async function readRows(options: FineTuneOptions, path: string, { tokenizer, model }: { tokenizer: TextTokenizer; model: OpenModel }): Promise<readonly EncodedRow[]> {
  const { vocabularySize, contextLength } = model;
  const maxLength = Math.min(options.maxLength ?? contextLength, contextLength);
  const dataset = await readDataset(path, tokenizer, { vocabularySize, maxLength, chatTemplate: () => readChatTemplate(options.model, { file: options.template }) });
  for (const text of datasetWarnings(dataset, maxLength)) await options.onEvent?.({ type: 'warning', text });
  return dataset.rows;
}

/** What a reader of the data should know, as sentences. */
export function datasetWarnings(dataset: { name: string; droppedLines: readonly number[]; truncatedLines: readonly number[]; unalignedLines: readonly number[] }, maxLength: number): string[] {
  const { name, droppedLines, truncatedLines, unalignedLines } = dataset;
  const tell = (lines: readonly number[], text: string): string[] => {
    if (lines.length === 0) return [];
    const shown = lines.slice(0, 10).join(', ');
    return [`${name}: ${lines.length} ${lines.length === 1 ? 'row' : 'rows'} ${text} (${lines.length === 1 ? 'line' : 'lines'} ${shown}${lines.length > 10 ? ', …' : ''})`];
  };
  return [
    ...tell(droppedLines, 'without a token to learn, left out'),
    ...tell(truncatedLines, `cut to ${maxLength} tokens`),
    ...tell(unalignedLines, 'where the border between prompt and completion lies within a token'),
  ];
}

function checkFlags(options: FineTuneOptions): void {
  if (options.method === 'full' && options.quantization !== undefined) {
    throw new LowrankError({ code: 'cli.conflict', what: '--quantization with --method full', expected: 'one of the two', got: 'both', remedy: 'Codes are frozen: train adapters over them (--method lora), or every weight as it is.' });
  }
  const adapterFlags = { '--r': options.r, '--alpha': options.alpha, '--dropout': options.dropout, '--target-modules': options.targetModules, '--init-adapter': options.initAdapter, ...variantFlags(options) };
  const begun = Object.entries(variantFlags(options)).find(([flag, value]) => value !== undefined && flag !== '--lora-plus-ratio');
  if (begun !== undefined && options.initAdapter !== undefined) {
    throw new LowrankError({ code: 'cli.conflict', what: `${begun[0]} with --init-adapter`, expected: 'one of the two', got: 'both', remedy: 'An adapter to go on from has begun already, and says itself what it is.' });
  }
  if (options.initLoraWeights === 'loftq' && options.quantization === undefined) {
    throw new LowrankError({ code: 'cli.conflict', what: '--init-lora-weights loftq', expected: '--quantization nf4, fp4 or int8 beside it', got: 'no --quantization', remedy: 'LoftQ makes up for what quantization loses; without it there is nothing to make up for.' });
  }
  const given = Object.entries(adapterFlags).find(([, value]) => value !== undefined);
  if (options.method !== 'full' || given === undefined) return;
  throw new LowrankError({ code: 'cli.conflict', what: `${given[0]} with --method full`, expected: 'one of the two', got: 'both', remedy: 'Every weight is trained then, and there are no adapters; leave the flag out, or use --method lora.' });
}
