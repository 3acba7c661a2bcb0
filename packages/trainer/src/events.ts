import type { Measures } from './batch.js';

/** What happens during training, for a program to show; the trainer itself prints nothing. */
export type TrainEvent =
  | BaselineEvent
  | StartedEvent
  | StepEvent
  | SkippedEvent
  | RolledBackEvent
  | EvaluatedEvent
  | CheckpointEvent
  | SavedEvent
  | InterruptedEvent;

/** The reference was evaluated on the rows of the evaluation, before the first step. */
export interface BaselineEvent {
  readonly type: 'baseline';
  readonly loss: number;
  /** Σ of the batches' weights: the label tokens of text. */
  readonly tokens: number;
  readonly measures: Measures;
}

/** Training is about to take its first step. */
export interface StartedEvent {
  readonly type: 'started';
  /** In all. */
  readonly steps: number;
  /** Steps that had been taken before: 0, or those of the state that training goes on from. */
  readonly from: number;
  readonly trainedParameters: number;
}

/**
 * One optimizer step. Arrives a step or two after the device got its work, since nothing waits for the results: the
 * model's weights may be those of a later step by then. They are those of `step` for all other events, and for
 * `betweenSteps`.
 */
export interface StepEvent {
  readonly type: 'step';
  readonly step: number;
  /** Σ loss / Σ weight over the step's micro-batches: for text the mean over its label tokens. */
  readonly loss: number;
  /** Norm of the whole gradient before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Tokens of the step, prompts included and padding not; 0 where the batches state none. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Bytes that are allocated on the session's backend. */
  readonly memoryBytes: number;
  /** What the loss measures beside itself, by name: of a preference loss `margin` and `accuracy`. */
  readonly measures: Measures;
}

/**
 * A step whose loss or gradient was NaN or infinite, with `onNan: 'skip'`: its batch changed nothing, and the weights
 * and the optimizer's state are those from before it. In place of its {@link StepEvent}.
 */
export interface SkippedEvent {
  readonly type: 'skipped';
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  /** Such steps one after another, this one included. */
  readonly inRow: number;
  /** How many of them end the training with a NonFiniteError. */
  readonly mostInRow: number;
}

/**
 * A step whose loss was far above those before it, with `onSpike: 'rollback'`: the weights and the optimizer's state
 * are those of an earlier step again, and the batches since then are left out. In place of its {@link StepEvent}.
 */
export interface RolledBackEvent {
  readonly type: 'rolledBack';
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  /** Of the losses before. */
  readonly median: number;
  /** The step whose weights are back. */
  readonly to: number;
}

/** An evaluation during training has ended. */
export interface EvaluatedEvent {
  readonly type: 'evaluated';
  /** The step whose weights were evaluated. */
  readonly step: number;
  readonly loss: number;
  /** Σ of the batches' weights: the label tokens of text. */
  readonly tokens: number;
  /** Whether no evaluation of this training before was better. */
  readonly isBest: boolean;
  /** Of the result, after it was saved; not on the way. */
  readonly isLast: boolean;
  /** Loss of the reference on the same rows, where the session has one. */
  readonly referenceLoss?: number;
  /** What the loss measures beside itself, over the same rows. */
  readonly measures: Measures;
}

/** A state to go on from was saved. */
export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly step: number;
  readonly place: string;
}

/** The result was saved. */
export interface SavedEvent {
  readonly type: 'saved';
  readonly step: number;
  readonly place: string;
}

/** The signal was aborted: training finished the step in progress, and saves what was learned. */
export interface InterruptedEvent {
  readonly type: 'interrupted';
  readonly step: number;
}
