import type { MetricName, RowSelection, TextRow } from '@lowrank/data';
import type { StudyRun, StudySample, StudyTraining } from './studyRun.js';

/**
 * Trains and scores the runs of a study. A study knows neither models nor devices: its caller gives it a trainer
 * (`studyTrainer` of `lowrank`, or your own).
 */
export interface StudyTrainer {
  /** Opens the device, once. @throws where there is no device, since no run could be done */
  open(): Promise<void>;
  /** Opens another device in the place of one that was lost; returns whether it could. Default: it cannot. */
  replaceDevice?(): Promise<boolean>;
  /** Makes room for one run. */
  openSession(): Promise<TrainingSession>;
}

/** The device, for one run. */
export interface TrainingSession {
  /** For people: its kind and its name. */
  readonly device: string;
  /** Most bytes that the session held at one time. */
  readonly peakBytes: number;
  /** Trains into `run.folder`; undefined when the signal was aborted. */
  train(run: StudyRun, hooks: TrainingHooks): Promise<TrainedRun | undefined>;
  /** Scores what `train` saved, loaded again as anyone would who got the files. */
  evaluate(run: StudyRun, trained: TrainedRun, hooks: EvaluationHooks): Promise<EvaluatedRun>;
  /** @throws LowrankError where the device is lost */
  check(): Promise<void>;
  /** Frees everything that the session left on the device, which stays open. */
  dispose(): void;
}

/** What training reports to a study, and how it is stopped. */
export interface TrainingHooks {
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (step: TrainedStep) => void;
  readonly onWarning?: (text: string) => void;
}

/** What a study hears of one optimizer step. */
export interface TrainedStep {
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

/** What was saved in the run's folder. */
export interface TrainedRun {
  readonly steps: number;
  /** Of the last step; null where none was taken. */
  readonly finalLoss: number | null;
  readonly trainedParameters: number;
  /** Of the file of weights. */
  readonly fileBytes: number;
  /** The adapter's folder; null where whole models are saved. */
  readonly adapter: string | null;
  /** The folder of the whole model; null where adapters are saved. */
  readonly model: string | null;
}

/** What an evaluation reports, and how it is stopped. */
export interface EvaluationHooks {
  readonly signal?: AbortSignal | undefined;
  /** Reports how many of the prompts are answered. */
  readonly onProgress?: (done: number, of: number) => void;
  readonly onWarning?: (text: string) => void;
}

/** Scores of one model on the test rows. */
export interface EvaluatedRun {
  /** Over all label tokens. */
  readonly loss: number;
  readonly scores: Readonly<Partial<Record<MetricName, number>>>;
  readonly prompts: number;
  /** Label tokens. */
  readonly tokens: number;
  readonly texts: readonly StudySample[];
}

/** What a study asks about options before the first run: no device is needed to know. */
export interface TrainingRules {
  /** The methods that can be compared, by name. */
  readonly methods: Readonly<Record<string, ComparedMethod>>;
  /** @throws LowrankError for options that exclude each other */
  checkTraining(training: StudyTraining): void;
  /**
   * The rows of a task other than writing text, each as the text that is asked, and the metrics of its answers;
   * undefined where texts are written. Default: they are. @throws LowrankError for rows that the task does not take
   */
  taskRows?(
    training: StudyTraining,
    selection: RowSelection & { readonly data: string },
  ): Promise<{ readonly rows: readonly TextRow[]; readonly metrics: readonly string[] } | undefined>;
  /** @throws LowrankError for options that none of the methods takes */
  checkComparison(methods: readonly string[], training: StudyTraining): void;
}

/** What a study has to know of a method to compare it. */
export interface ComparedMethod {
  /** To choose from where none are given: what suits a method depends on how much it moves. */
  readonly learningRates: readonly number[];
  /** Whether `r`, `alpha` and `targetModules` describe it. */
  readonly isLora: boolean;
  /** The options of this method, out of those of all. */
  trainingOf(training: StudyTraining): StudyTraining;
}
