import type { RowSource } from '@lowrank/data';
import type { MethodFiles, MethodName } from '@lowrank/methods';
import type { StepEvent } from '@lowrank/trainer';
import type { ResumedEvent } from '../jobs/fineTuneOptions.js';
import type { SavePlace } from '../saveFolder.js';
import type {
  CheckpointOptions,
  CommonOptions,
  FolderOptions,
  MethodOptions,
  OutputOptions,
} from '../settings/methodTables.js';
import type { ModelSource } from './modelSource.js';
import type { RunEvent, RunHooks } from './runOptions.js';
import type { RunState } from './runState.js';

/** What {@link loadModel} decides once for all runs. */
export type DecidedByModel = 'quantization' | 'doubleQuantization' | 'quantizeEmbeddings' | 'template' | 'initAdapter';

/**
 * Options of {@link fineTune}: those of the method and of the training, as declared in their tables (`r`, `alpha`,
 * `targetModules`, `steps`, `batchSize`, `learningRate`, …), and what the run is about.
 */
export interface FineTuneOptions
  extends
    Omit<MethodOptions & CommonOptions, DecidedByModel>,
    CheckpointOptions,
    OutputOptions,
    Pick<FolderOptions, 'resume'> {
  /** JSON lines: a path (Node), an address, a File or Blob, pieces of text; or the rows as objects. */
  readonly data: RowSource;
  /** Rows whose loss is computed at the end, every `evaluateEvery`, and by {@link Run.evaluate}. */
  readonly evalData?: RowSource | undefined;
  /**
   * A folder for the run: run.json, metrics.jsonl, checkpoints, and what was learned; in a browser one of the origin's
   * private file system, or one that a person picked. An unfinished run that it holds goes on from its last checkpoint,
   * bit for bit, with `resume` a finished one too.
   */
  readonly output?: SavePlace | undefined;
  /** How to fine-tune; default `lora`. */
  readonly method?: MethodName | undefined;
  /** What the adapter's files say that it is for. Default: the model's source. */
  readonly baseModel?: string | undefined;
  /** An adapter to go on from. */
  readonly initAdapter?: ModelSource | undefined;
  /**
   * The state of a run to go on from, over the same rows and with the same options: the next steps are as they were.
   */
  readonly resumeFrom?: RunState | undefined;
  /**
   * Gets the state every `saveEvery` steps, at a lowest evaluation, and when stopped. Its tensors are read before the
   * promise resolves; `holdState` keeps them.
   */
  readonly onCheckpoint?: ((state: RunState) => unknown) | undefined;
  /** Something between two steps, with the weights of exactly that step. */
  readonly betweenSteps?: BetweenFineTuneSteps | undefined;
  /** Each optimizer step, once its numbers have arrived. Training waits for the promise that it may return. */
  readonly onStep?: ((step: StepEvent) => unknown) | undefined;
  /** Every event: the start, each step, warnings, the evaluation. */
  readonly onEvent?: ((event: RunEvent | ResumedEvent) => unknown) | undefined;
  /** Ends the training as {@link FineTuning.stop} does. */
  readonly signal?: AbortSignal | undefined;
}

/** See {@link FineTuneOptions.betweenSteps}. */
export interface BetweenFineTuneSteps {
  /** After every so many steps; or whether after this one. */
  readonly every: number | ((step: number) => boolean);
  /** Training waits for the promise that it may return. */
  run(at: StepWeights): unknown;
}

/** What was learned by a step. */
export interface StepWeights {
  readonly step: number;
  /** Of the step. */
  readonly loss: number;
  /** The files of what was learned by then, as {@link Run.files}. */
  readonly files: () => Promise<MethodFiles>;
}

/** How a run is trained, with a folder of its own or without. */
export interface TrainingWay {
  readonly resume: RunState | undefined;
  readonly signal: AbortSignal;
  readonly hooks: RunHooks;
}
