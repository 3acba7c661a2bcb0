import type { ChatTemplate, LossMask, RowSelection, RowSource, RowStatistics, TextTokenizer } from '@lowrank/data';
import type { AppliedMethod, Method, MethodName } from '@lowrank/methods';
import type { ModelFiles } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import type { BetweenSteps, Ended, Execution, TrainEvent } from '@lowrank/trainer';
import type { OpenModel } from '../jobs/openModel.js';
import type { CheckpointOptions, CommonOptions, MethodOptions } from '../settings/methodTables.js';
import type { RunState } from './runState.js';
import type { Learned, SavingHooks } from './savingOptions.js';

/** A model to train, with what its texts need. */
export interface TrainingModel {
  readonly open: OpenModel;
  readonly tokenizer: TextTokenizer;
  readonly chatTemplate: () => Promise<ChatTemplate | undefined>;
  readonly backend: () => Promise<Backend>;
  /** How it was quantized while it was loaded. */
  readonly quantization: QuantizationSettings | undefined;
  /** Whether its embedding and output projection were. */
  readonly quantizeEmbeddings?: boolean | undefined;
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

/** Whatever happens in a run, by its `type`: the data, steps, evaluations, checkpoints, warnings. */
export type RunEvent =
  | TrainEvent
  | DataEvent
  | ReferenceEvent
  | MemoryPlannedEvent
  | { readonly type: 'warning'; readonly text: string };

/** What `memoryBudget` has decided. */
export interface MemoryPlannedEvent {
  readonly type: 'memoryPlanned';
  /** Of a step by its plan, the model included. */
  readonly bytes: number;
  /** Layers, the first ones, that are computed again in the backward pass. */
  readonly recomputedLayers: number;
  readonly layers: number;
}

/** The model is about to be asked what it says of so many documents before it is trained. */
export interface ReferenceEvent {
  readonly type: 'reference';
  readonly documents: number;
}

/** Rows that were read: those to train on first, then those of the evaluation. */
export interface DataEvent {
  readonly type: 'data';
  readonly part?: 'train' | 'validation';
  readonly name: string;
  /** What forms they have, in words. */
  readonly forms: string;
  readonly rows: number;
  readonly tokens: number;
  readonly labelTokens: number;
  readonly statistics?: RowStatistics;
  /** How many rows the tokens and the statistics are of, where the rest stays in a file. */
  readonly sampled?: number;
}

/** How rows are read. */
export type ReadingOptions = Pick<RunOptions, 'maxLength' | keyof LossMask> & Omit<RowSelection, 'parts'>;

/** Bytes that a step takes by its plan: as it is laid out, and in smaller micro-batches. */
export interface PlannedBytes {
  readonly given: number | undefined;
  readonly smaller: number | undefined;
}

export interface RunHooks extends SavingHooks {
  /** Whether the rows of the evaluation are evaluated before the first step too: the event `baseline`. */
  readonly baseline?: boolean | undefined;
  /** Called with the number of steps in all, before the first. */
  readonly planned?: ((steps: number) => void | Promise<void>) | undefined;
  /** Told before the error of a run whose memory ran out, where `autoBatch` may try another layout. */
  readonly outOfMemory?: ((plan: PlannedBytes) => void) | undefined;
  /** Something between two steps, with the weights of exactly that step. */
  readonly betweenSteps?: BetweenSteps<Learned> | undefined;
  /** Saves what was learned, at the end and when the signal is aborted; returns where. */
  readonly save?: ((method: Method, applied: AppliedMethod, at: Ended) => Promise<string>) | undefined;
  readonly onEvent?: ((event: RunEvent) => void | Promise<void>) | undefined;
}
