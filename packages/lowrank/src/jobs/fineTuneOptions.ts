import type { RowSelection, TextTokenizer } from '@lowrank/data';
import type { MethodName } from '@lowrank/methods';
import type { RunSample } from '@lowrank/study';
import type { Execution } from '@lowrank/trainer';
import type { BackendOrOpener } from '../device.js';
import type { RunEvent } from '../front/runOptions.js';
import type { CommonOptions, FolderOptions, MethodOptions, TokenOptions } from '../settings/methodTables.js';
import type { TransferEvents } from './folders.js';

/** Options of `fineTuneFolder`: those declared in tables (settings/methodTables.ts), and what a run is about. */
export interface FineTuneFolderOptions
  extends Pick<TransferEvents, 'onTransfer'>, MethodOptions, CommonOptions, FolderOptions, TokenOptions, RowSelection {
  /** What opens one is called again where a run loses its device. */
  readonly backend: BackendOrOpener;
  /** Hugging Face folder, hub id (owner/name or owner/name@revision) or URL. */
  readonly model: string;
  /** JSONL file of rows. */
  readonly data: string;
  /** Default: the model's. */
  readonly tokenizer?: TextTokenizer;
  /** Folder for the run: what is learned, run.json, metrics.jsonl, checkpoints. */
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
export const runOptions: readonly (keyof FineTuneFolderOptions)[] = [
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

/** A run that had been begun before goes on, from a checkpoint or, where it has none, from its beginning. */
export interface ResumedEvent {
  readonly type: 'resumed';
  readonly folder: string;
  /** Of the checkpoint; undefined where there is none. */
  readonly step: number | undefined;
}

/** What the model writes after held-out prompts, without and with what was learned. */
export interface SamplesEvent {
  readonly type: 'samples';
  readonly samples: readonly RunSample[];
}

/** The GPU's device was lost: the run goes on with another one. */
export interface DeviceLostEvent {
  readonly type: 'deviceLost';
  /** What was said of the loss. */
  readonly message: string;
  /** Of the checkpoint that the run goes on from; undefined where there is none, so that it begins anew. */
  readonly step: number | undefined;
}

/** Memory ran out: the run goes on with the same steps in smaller micro-batches. */
export interface BatchReducedEvent {
  readonly type: 'batchReduced';
  /** What was said of it. */
  readonly message: string;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  /** Bytes of a step by its plan, before and now; undefined where they are not known. */
  readonly plannedBytes: { readonly before: number | undefined; readonly now: number | undefined };
  /** That the run goes on from; undefined where it begins anew. */
  readonly step: number | undefined;
}

/** Whatever happens in a run on folders: `RunEvent`, and what only a run with a folder knows. */
export type FineTuneEvent = BatchReducedEvent | RunEvent | ResumedEvent | SamplesEvent | DeviceLostEvent;
