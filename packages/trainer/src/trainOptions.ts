import { LowrankError } from '@lowrank/errors';
import type { TrainedParameter } from '@lowrank/nn';
import type { Backend, RandomState } from '@lowrank/tensor';
import type { Batch, LossFunction, TokenInput } from './batch.js';
import type { TrainEvent } from './events.js';
import type { Execution } from './execution.js';
import type { NanRule } from './nanRules.js';
import { nanRules } from './nanRules.js';
import type { BestBy } from './scores.js';
import type { SpikeRule } from './spikes.js';
import { spikeRules } from './spikes.js';
import type { Measures } from './batch.js';
import type { OptimizerOptions } from './optimizer.js';
import { checkOptimizer } from './optimizers/index.js';
import type { ScheduleOptions } from './schedule.js';
import { checkSchedule } from './schedule.js';
import type { Score, StepState, TrainState } from './trainState.js';

/** A model ready to be trained on a backend. */
export interface TrainSession<Name extends string = TokenInput> {
  readonly backend: Backend;
  readonly loss: LossFunction<Name>;
  /** The loss without what is meant for training alone, such as dropout; `loss` by default. */
  readonly evaluationLoss?: LossFunction<Name>;
  readonly parameters: readonly TrainedParameter[];
  /** Tensors that are not trained, and that a state holds and restores: how an adapter began. */
  readonly constants?: readonly TrainedParameter[] | undefined;
  /** The RNG state of dropout, if the loss has dropout. */
  readonly random?: RandomState;
}

/** Why a training ended. */
export type StoppedBy = 'steps' | 'early-stopping' | 'signal';

/**
 * Something to do between two steps, with the weights of exactly that step: the loop waits until the device has done
 * what it was given, which costs time, so seldom is best. (Events of steps come while later steps are on their way.)
 */
export interface BetweenSteps<Session> {
  /** After every so many steps; or whether after this one. */
  readonly every: number | ((step: number) => boolean);
  /** Training waits for the promise that it may return. */
  run(session: Session, at: { readonly step: number; readonly loss: number }): unknown;
}

/** Where a training ended. */
export interface Ended {
  /** The step whose weights are saved: the last one, or the best. */
  readonly step: number;
  /** Steps taken. */
  readonly steps: number;
  readonly stoppedBy: StoppedBy;
  /** Of the last step. */
  readonly finalLoss: number | undefined;
  readonly seconds: number;
}

export interface TrainOptions<Session extends TrainSession<Name>, Name extends string = TokenInput>
  extends OptimizerOptions, ScheduleOptions {
  /** Makes the model: once, before the first step. */
  createSession(): Session | Promise<Session>;
  /**
   * Writes what was learned; returns where, for the `saved` event. Called at the end, and when the signal is
   * aborted, unless that was before the first step.
   */
  save?(session: Session, at: Ended): Promise<string>;
  /**
   * The loss of the model before training, evaluated before the first step (`baseline`) and told beside the trained
   * one's: a model with its adapters switched off, or as they begin.
   */
  reference?(session: Session): LossFunction<Name>;
  /** Optimizer steps, those before `resume` included. */
  readonly steps: number;
  /**
   * Without end: for each optimizer step its micro-batches, at hand or read while the device is busy. The gradients of
   * several are accumulated: one gradient, one step.
   */
  readonly batches: (Iterator<readonly Batch<Name>[]> | AsyncIterator<readonly Batch<Name>[]>) & {
    /** Where they stand, as plain JSON: what a {@link TrainState} holds as `data`. */
    readonly state?: unknown;
  };
  /** The micro-batches of the largest step: compiled first, so that the memory all shapes share is made once. */
  readonly largest?: readonly Batch<Name>[];
  /** Every row to evaluate, once, after training and every `evaluateEvery`; each evaluation iterates over it again. */
  readonly evaluation?: Iterable<Batch<Name>> | AsyncIterable<Batch<Name>>;
  /** Evaluate after every so many steps, and after the last. */
  readonly evaluateEvery?: number;
  /**
   * Measures more of the model, with the weights of a step, after each evaluation: scores of what it writes. Undefined
   * where the signal cut it short.
   */
  measure?(session: Session, signal?: AbortSignal): Promise<Measures | undefined>;
  /** The measure by which an evaluation is the best, and training stops early. Default: the loss, the lowest. */
  readonly bestBy?: BestBy | undefined;
  /** Evaluations in a row without a new best one, after which training ends. */
  readonly earlyStopping?: number;
  /** Call `checkpoint` after every so many steps, and after the last. */
  readonly saveEvery?: number;
  /** The same by the clock, in minutes. */
  readonly saveEveryMinutes?: number;
  /** Call `checkpoint` also when an evaluation was the best so far. */
  readonly saveBest?: boolean;
  /**
   * Saves a state that training can go on from, and returns where, for the `checkpoint` event. Also called when the
   * signal is aborted. Nothing is in flight meanwhile: the model's weights are the state's. Undefined where it could
   * not be saved, and training is to go on all the same.
   */
  checkpoint?(session: Session, state: TrainState): Promise<string | undefined>;
  /**
   * Where to go on. The session is made as it was for the run that the state is of, and `batches` stand where its
   * `data` says.
   */
  readonly resume?: TrainState;
  /**
   * The state of the step with the best evaluation: given this, training ends with its weights, which are then
   * saved, and not with those of the last step. Undefined where it was not kept.
   */
  loadBest?(best: Score): Promise<StepState | undefined>;
  /** Something of the caller's between two steps. */
  readonly betweenSteps?: BetweenSteps<Session>;
  readonly weightDecay?: number;
  readonly execution?: Execution;
  /**
   * Keep only what enters each block of the model, and compute the blocks again in the backward pass: less memory, more
   * time, the same numbers.
   */
  readonly checkpointing?: boolean | number;
  /**
   * With `skip`, a step whose loss or gradient is NaN or infinite is left out: it counts, its batch changes nothing,
   * and a `skipped` event says so. Ten in a row stop the training all the same. Default `stop`: a NonFiniteError.
   */
  readonly onNan?: NanRule | undefined;
  /**
   * With `rollback`, a step whose loss is a spike (see `LossHistory`) ends with the weights of the last snapshot: its
   * batch and those since then are left out, as with `onNan: 'skip'`, and a `rolledBack` event says so. With `stop` it
   * ends the training. Default `ignore`.
   */
  readonly onSpike?: SpikeRule | undefined;
  /** Times the median of the last losses, from which on a loss may be a spike. Default 3. */
  readonly spikeFactor?: number | undefined;
  /** Keep the state in host memory after every so many steps. Default 20 with `onSpike: 'rollback'`, else never. */
  readonly snapshotEvery?: number | undefined;
  /** Gets each of these states. */
  snapshot?(session: Session, state: TrainState): unknown;
  /** Receives every event, in order; training waits for the promise that it may return. */
  onEvent?(event: TrainEvent): void | Promise<void>;
  /** When aborted, `train` finishes the step in progress, saves what was learned, and returns. */
  readonly signal?: AbortSignal;
}

type CheckedOptions = OptimizerOptions &
  ScheduleOptions &
  Pick<
    TrainOptions<TrainSession>,
    | 'weightDecay'
    | 'evaluateEvery'
    | 'earlyStopping'
    | 'saveEvery'
    | 'saveEveryMinutes'
    | 'onNan'
    | 'onSpike'
    | 'spikeFactor'
    | 'snapshotEvery'
  > & { readonly evaluation?: unknown };

/** @throws LowrankError `trainer.schedule`, `trainer.option` */
export function checkOptions(options: CheckedOptions): void {
  checkSchedule(options);
  const check = (
    name: string,
    value: number | undefined,
    isGood: (value: number) => boolean,
    expected: string,
  ): void => {
    if (value === undefined || isGood(value)) return;
    throw new LowrankError({ code: 'trainer.option', what: name, expected, got: String(value) });
  };
  const atLeastZero = (value: number): boolean => Number.isFinite(value) && value >= 0;
  check('clip', options.clip, atLeastZero, 'a largest gradient norm, or 0 for none');
  check('weightDecay', options.weightDecay, atLeastZero, 'a number of at least 0');
  checkOptimizer(options.optimizer ?? 'adamw', options);
  const positive = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
  check('evaluateEvery', options.evaluateEvery, positive, 'a whole number of steps, at least 1');
  check('saveEvery', options.saveEvery, positive, 'a whole number of steps, at least 1');
  check('saveEveryMinutes', options.saveEveryMinutes, (value) => value > 0, 'a number above 0');
  check('earlyStopping', options.earlyStopping, positive, 'a whole number of evaluations, at least 1');
  check('snapshotEvery', options.snapshotEvery, positive, 'a whole number of steps, at least 1');
  check('spikeFactor', options.spikeFactor, (value) => value > 1, 'a number above 1');
  rule('onNan', options.onNan, nanRules);
  rule('onSpike', options.onSpike, spikeRules);
  if (options.evaluateEvery !== undefined) needs('evaluateEvery', 'rows to evaluate', options.evaluation);
  if (options.earlyStopping !== undefined) needs('earlyStopping', 'evaluateEvery', options.evaluateEvery);
}

function rule(name: string, given: string | undefined, known: readonly string[]): void {
  if (given === undefined || known.includes(given)) return;
  throw new LowrankError({ code: 'trainer.option', what: name, expected: known.join(', '), got: String(given) });
}

function needs(name: string, expected: string, given: unknown): void {
  if (given === undefined) throw new LowrankError({ code: 'trainer.option', what: name, expected, got: 'none' });
}
