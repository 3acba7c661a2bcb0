import type { TextRow } from '@lowrank/data';
import type { MethodFiles } from '@lowrank/methods';
import type { QuantizationSettings } from '@lowrank/quant';
import type { OptimizerName, ScheduleName, ScheduleOptions } from '@lowrank/trainer';

/** A run as another engine takes it: what is trained, on which tokens, and by which numbers. */
export interface ExportedRun {
  /** Hub id, URL, or the absolute path of a folder. */
  readonly model: string;
  /** PEFT's files of the adapter as it begins, or so far; undefined where every weight is trained. */
  readonly adapter: MethodFiles | undefined;
  /** In the order in which Lowrank's run takes them first; later epochs have another order there. */
  readonly rows: readonly ExportedRow[];
  readonly recipe: Recipe;
  /** The text of the end-of-sequence token. */
  readonly eos: string;
  /** Settings of the run, by name, that change what is learned: each target says which it cannot take. */
  readonly given: Readonly<Record<string, unknown>>;
}

export interface ExportedRow {
  readonly ids: readonly number[];
  /** -100 where nothing is learned, else the id. */
  readonly labels: readonly number[];
  readonly row: TextRow;
}

/** The numbers of a run, defaults filled in. */
export interface Recipe {
  /** That are left. */
  readonly steps: number;
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly learningRate: number;
  readonly schedule: ScheduleName;
  /** Steps. */
  readonly warmup: number;
  /** What single schedules take, as far as it was given, in steps and shares. */
  readonly scheduleNumbers: Pick<ScheduleOptions, 'minLearningRateRatio' | 'cycles' | 'decaySteps'>;
  readonly optimizer: OptimizerName;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Of SGD. */
  readonly momentum: number;
  readonly weightDecay: number;
  /** 0: none. */
  readonly clip: number;
  readonly seed: number;
  readonly maxLength: number;
  readonly checkpointing: boolean;
  readonly quantization: QuantizationSettings | undefined;
}

/** What a target writes. */
export interface ExportedFiles {
  /** By name; `adapter/` and README.md are written for all targets. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** What to type in the folder. */
  readonly command: string;
  /** How what was learned comes back. */
  readonly back: string;
  /** What will differ, as sentences. */
  readonly differences: readonly string[];
}

/** An engine that a run can be handed to. */
export interface ExportTarget {
  readonly title: string;
  /** @throws LowrankError `export.unsupported` for a run that the engine has no words for */
  write(run: ExportedRun): Promise<ExportedFiles>;
}
