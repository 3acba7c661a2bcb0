import type { LossMask, MetricName, RowSelection, TextTokenizer } from '@lowrank/data';
import type { Execution } from '@lowrank/trainer';
import type { BackendOrOpener } from '../device.js';
import type { TransferEvents } from './folders.js';
import type { QuantizationOptions } from './quantization.js';

export interface EvaluateFolderOptions extends TransferEvents, QuantizationOptions, RowSelection, LossMask {
  readonly backend: BackendOrOpener;
  readonly model: string;
  readonly adapter?: string;
  readonly data: string;
  /** A Jinja file that makes text of rows of messages; default: the model's chat template. */
  readonly template?: string;
  readonly maxLength?: number;
  /** Default: the model's. */
  readonly tokenizer?: TextTokenizer;
  /** Evaluate the rows that `train` holds out of the file with the same value, and no others. */
  readonly validation?: number | undefined;
  /** Default: the loss alone, which is always reported. */
  readonly metrics?: readonly MetricName[];
  /** Megabytes of a file from which on rows stay there, where the loss alone is asked for. Default 64. */
  readonly dataMemory?: number | undefined;
  /** Answers to choose from, for `label-accuracy`. Default: the different completions of the rows. */
  readonly labels?: readonly string[] | undefined;
  /** Most distinct prompts whose rows count, drawn by `seed`. Default: all. */
  readonly scoreRows?: number | undefined;
  readonly seed?: number;
  /** Of the texts that are written for metrics. Default: as many as the longest reference has, and one. */
  readonly maxNewTokens?: number | undefined;
  readonly execution?: Execution;
  readonly signal?: AbortSignal | undefined;
  /** Sees how many of the prompts are answered. */
  readonly onProgress?: (done: number, of: number) => void;
}

/** What `lowrank eval` prints. */
export interface EvaluateFolderResult {
  /** Σ over all label tokens of −log p / their number. */
  readonly loss: number;
  /** exp(loss) */
  readonly perplexity: number;
  /** Label tokens. */
  readonly tokens: number;
  readonly rows: number;
  /** Distinct prompts. */
  readonly prompts: number;
  /** By metric; the loss among them. */
  readonly scores: Readonly<Partial<Record<MetricName, number>>>;
}
