import type { MetricName, RowSelection } from '@lowrank/data';

/**
 * One fine-tune, as plain JSON. A study reads the options named here; all others pass through to the trainer, whose
 * `TrainingRules` know them.
 */
export interface StudyTraining extends RowSelection {
  /** Hugging Face folder, hub id or URL. */
  readonly model: string;
  /** JSONL file of rows. */
  readonly data: string;
  /** A Jinja file that makes text of rows of messages. */
  readonly template?: string;
  /** PEFT folder, hub id or URL to go on from. */
  readonly initAdapter?: string;
  readonly method?: string;
  /** Default: once through the data. */
  readonly steps?: number;
  /** Default 8. */
  readonly batchSize?: number;
  readonly gradientAccumulation?: number;
  readonly learningRate?: number;
  readonly warmup?: number;
  readonly seed?: number;
  /** Of LoRA's adapters. Default 8. */
  readonly r?: number;
  /** Default: r. */
  readonly alpha?: number;
  readonly targetModules?: readonly string[] | string;
  readonly quantization?: string;
  readonly [option: string]: unknown;
}

/** The rows and metrics that score a fine-tune, as plain JSON. */
export interface StudyScoring extends RowSelection {
  /** JSONL file of rows that are not trained on. */
  readonly data: string;
  readonly metrics: readonly MetricName[];
  /** Most distinct prompts that are scored. Default: all. */
  readonly scoreRows?: number | undefined;
  readonly maxNewTokens?: number | undefined;
  /** Seeds the choice of prompts. */
  readonly seed: number;
}

/**
 * One run of a study: a fine-tune and its scoring. Plain JSON, so that any process that sees the same files can do it
 * with `runStudyRun` and nothing else. Local paths are absolute.
 */
export interface StudyRun {
  /**
   * Unique in the study, fit for a file name, and different for every different run: it ends with a hash of what the
   * run is and of the files it reads.
   */
  readonly id: string;
  /** Shown to people. */
  readonly label: string;
  /** `tune` chooses a learning rate; `score` fills a row of the table. */
  readonly purpose: 'tune' | 'score';
  /** Trained weights go here. */
  readonly folder: string;
  readonly training: StudyTraining;
  readonly scoring: StudyScoring;
}

/** The outcome of a run, as plain JSON. Only `measured` depends on the machine. */
export type StudyOutcome = DoneRun | FailedRun;

/** The outcome of a run that ended with an error. */
export interface FailedRun {
  readonly id: string;
  readonly status: 'failed';
  readonly error: { readonly code: string; readonly message: string };
}

/** The outcome of a run that was trained and scored. Times are seconds, sizes bytes. */
export interface DoneRun {
  readonly id: string;
  readonly status: 'done';
  readonly steps: number;
  readonly trainable_parameters: number;
  /** Parameters of the model without adapters. */
  readonly model_parameters: number;
  /** Of the last training step. */
  readonly train_loss: number | null;
  /** By metric; `loss` is always among them. */
  readonly scores: Readonly<Partial<Record<MetricName, number>>>;
  /** Distinct prompts that were scored, and the label tokens of their rows. */
  readonly prompts: number;
  readonly tokens: number;
  /** Of the file of weights that was saved. */
  readonly file_bytes: number;
  readonly samples: readonly StudySample[];
  /** Warnings about the data. */
  readonly warnings: readonly string[];
  readonly measured: Measured;
}

/** A prompt, the model's answer, and the answers of the data. */
export interface StudySample {
  readonly prompt: string;
  readonly text: string;
  readonly references: readonly string[];
}

/** Differs from machine to machine, and from run to run. */
export interface Measured {
  /** Median time of a training step, the first ones left out; null where there are too few. */
  readonly seconds_per_step: number | null;
  /** Of training, over the same steps: tokens of rows, padding not counted. */
  readonly tokens_per_second: number | null;
  /** Most bytes that were allocated on the device at one time, in training and scoring. */
  readonly peak_bytes: number;
  /** Of the whole run, loading and scoring included. */
  readonly seconds: number;
  readonly device: string;
}

/** How far a run is. */
export interface RunProgress {
  readonly stage: 'training' | 'scoring';
  readonly step: number;
  readonly steps: number;
  /** Of the last step. */
  readonly loss: number | undefined;
}
