import { LowrankError } from '@lowrank/errors';
import type { TrainedParameter } from '@lowrank/nn';
import type { Backend, RandomState } from '@lowrank/tensor';
import { readTensor, toFloat32 } from '@lowrank/tensor';
import { Arena } from '@lowrank/tensor/backend';
import type { Batch, LossFunction, Measures, TokenInput } from './batch.js';
import type { Evaluation } from './evaluate.js';
import { evaluate } from './evaluate.js';
import type { TrainEvent } from './events.js';
import type { Execution } from './execution.js';
import { NonFiniteError } from './nonFinite.js';
import type { AdamwOptions } from './optimizer.js';
import type { ScheduleName } from './schedule.js';
import { checkSchedule, learningRateAt } from './schedule.js';
import type { StepNumbers, TrainStep } from './trainStep.js';
import { createTrainStep } from './trainStep.js';

/** A model ready to be trained on a backend. */
export interface TrainSession<Name extends string = TokenInput> {
  readonly backend: Backend;
  readonly loss: LossFunction<Name>;
  /** The loss without what is meant for training alone, such as dropout; `loss` by default. */
  readonly evaluationLoss?: LossFunction<Name>;
  readonly parameters: readonly TrainedParameter[];
  /** The RNG state of dropout, if the loss has dropout. */
  readonly random?: RandomState;
}

export interface TrainOptions<
  Session extends TrainSession<Name>,
  Name extends string = TokenInput,
> extends AdamwOptions {
  /** Makes the model: once, before the first step. */
  createSession(): Session | Promise<Session>;
  /**
   * Writes what was learned; returns where, for the `saved` event. Called at the end, and when the signal is
   * aborted, unless that was before the first step.
   */
  save?(session: Session, at: { readonly step: number }): Promise<string>;
  /**
   * The loss of the model before training, evaluated beside the trained one: a model with its adapters switched off.
   */
  reference?(session: Session): LossFunction<Name>;
  /** Optimizer steps. */
  readonly steps: number;
  /**
   * Without end: for each optimizer step its micro-batches. The gradients of several are accumulated: one gradient, one
   * step.
   */
  readonly batches: Iterator<readonly Batch<Name>[]>;
  /** The micro-batches of the largest step: compiled first, so that the memory all shapes share is made once. */
  readonly largest?: readonly Batch<Name>[];
  /** Every row to evaluate, once, after training; each evaluation iterates over it again. */
  readonly evaluation?: Iterable<Batch<Name>>;
  readonly learningRate: number;
  /** Default: constant. */
  readonly schedule?: ScheduleName;
  /** Steps of warmup; default 0. */
  readonly warmup?: number;
  readonly weightDecay?: number;
  readonly execution?: Execution;
  /**
   * Keep only what enters each block of the model, and compute the blocks again in the backward pass: less memory, more
   * time, the same numbers.
   */
  readonly checkpointing?: boolean;
  /** Receives every event, in order; training waits for the promise that it may return. */
  onEvent?(event: TrainEvent): void | Promise<void>;
  /** When aborted, `train` finishes the step in progress, saves what was learned, and returns. */
  readonly signal?: AbortSignal;
}

export interface TrainResult<Session> {
  readonly session: Session;
  /** Steps taken. */
  readonly steps: number;
  /** Of the last step; undefined where none was taken. */
  readonly finalLoss: number | undefined;
  readonly evaluation: Evaluation | undefined;
  /** Tokens of all steps, prompts included and padding not; 0 where the batches state none. */
  readonly tokens: number;
  readonly seconds: number;
  readonly interrupted: boolean;
}

/** Steps whose numbers may still be arriving when the device gets the next. */
const inFlight = 2;

/**
 * Trains with AdamW (β 0.9/0.999 and ε 1e-8 by default), a schedule, accumulation and clipping, over the batches in
 * order.
 *
 * @throws NonFiniteError when a loss or gradient is NaN or infinite: the weights are then those from before that step,
 * and nothing is saved
 * @throws LowrankError `trainer.schedule`, `trainer.option`, what flattenParameters throws, and what the backend throws
 */
export async function train<Session extends TrainSession<Name>, Name extends string = TokenInput>(
  options: TrainOptions<Session, Name>,
): Promise<TrainResult<Session>> {
  checkOptions(options);
  const session = await options.createSession();
  const arena = new Arena(session.backend);
  try {
    // Before the first step, while the reference is still what it was.
    const referenceLoss =
      options.reference === undefined
        ? undefined
        : await evaluateRows(options, session, options.reference(session), arena);
    const run = await runSteps(options, session, arena);
    if (run.steps > 0) await checkLearned(session, run);
    const interrupted = run.steps < options.steps;
    if (interrupted) await options.onEvent?.({ type: 'interrupted', step: run.steps });
    // Before the first step there is nothing that was learned, and perhaps an older result where it would go.
    const place = run.steps === 0 ? undefined : await options.save?.(session, { step: run.steps });
    if (place !== undefined) await options.onEvent?.({ type: 'saved', step: run.steps, place });
    const evaluation = interrupted
      ? undefined
      : await evaluateRows(options, session, session.evaluationLoss ?? session.loss, arena);
    if (evaluation !== undefined)
      await options.onEvent?.({
        type: 'evaluated',
        step: run.steps,
        loss: evaluation.loss,
        tokens: evaluation.tokens,
        referenceLoss: referenceLoss?.loss,
        measures: evaluation.measures,
      });
    return { session, ...run, evaluation, interrupted };
  } finally {
    arena.dispose();
  }
}

async function runSteps<Session extends TrainSession<Name>, Name extends string>(
  options: TrainOptions<Session, Name>,
  session: Session,
  arena: Arena,
): Promise<StepsTaken> {
  const { clip, beta1, beta2, epsilon, optimizer, weightDecay, execution, checkpointing } = options;
  const { backend, loss, parameters, random } = session;
  const trainStep = await createTrainStep({
    backend,
    loss,
    parameters,
    random,
    arena,
    clip,
    beta1,
    beta2,
    epsilon,
    optimizer,
    weightDecay,
    execution,
    checkpointing,
  });
  try {
    return await new Loop(options, trainStep).run();
  } finally {
    await trainStep.dispose();
  }
}

/** The last update is followed by no step whose loss would tell. @throws NonFiniteError */
async function checkLearned<Name extends string>(
  { parameters }: TrainSession<Name>,
  { steps, finalLoss, gradNorm }: StepsTaken,
): Promise<void> {
  for (const { name, parameter } of parameters) {
    const values = toFloat32(await readTensor(parameter.tensor), parameter.tensor.dtype);
    if (values.every(Number.isFinite)) continue;
    throw new NonFiniteError({ step: steps, loss: finalLoss ?? NaN, gradNorm: gradNorm ?? NaN, updated: name });
  }
}

async function evaluateRows<Session extends TrainSession<Name>, Name extends string>(
  { evaluation, execution }: TrainOptions<Session, Name>,
  { backend }: Session,
  loss: LossFunction<Name>,
  arena: Arena,
): Promise<Evaluation | undefined> {
  return evaluation === undefined ? undefined : evaluate({ backend, loss, batches: evaluation, arena, execution });
}

/** What a run of steps did. */
interface StepsTaken {
  readonly steps: number;
  readonly finalLoss: number | undefined;
  /** Of the last step. */
  readonly gradNorm: number | undefined;
  readonly tokens: number;
  readonly seconds: number;
}

interface ArrivedNumbers {
  readonly loss: number;
  readonly gradNorm: number;
  readonly measures: Measures;
  readonly at: number;
}

interface Pending<Name extends string> {
  readonly step: number;
  readonly learningRate: number;
  readonly microBatches: readonly Batch<Name>[];
  readonly rngStep: number;
  readonly arrived: Promise<ArrivedNumbers>;
}

class Loop<Session extends TrainSession<Name>, Name extends string> {
  private readonly pending: Pending<Name>[] = [];
  private finalLoss: number | undefined;
  private gradNorm: number | undefined;
  private tokens = 0;
  private steps = 0;
  private lastArrival = 0;

  constructor(
    private readonly options: TrainOptions<Session, Name>,
    private readonly trainStep: TrainStep<Name>,
  ) {}

  async run(): Promise<StepsTaken> {
    const { options, trainStep } = this;
    const trainedParameters = trainStep.vectors
      .flatMap(({ views }) => views)
      .reduce((total, { size }) => total + size, 0);
    await options.onEvent?.({ type: 'started', steps: options.steps, trainedParameters });
    if (options.largest !== undefined) await trainStep.prepare(options.largest);
    const start = performance.now();
    this.lastArrival = start;
    for (let step = 1; step <= options.steps && options.signal?.aborted !== true; step++) {
      await this.start(step);
      if (this.pending.length > inFlight) await this.settle();
    }
    while (this.pending.length > 0) await this.settle();
    return {
      steps: this.steps,
      finalLoss: this.finalLoss,
      gradNorm: this.gradNorm,
      tokens: this.tokens,
      seconds: (performance.now() - start) / 1000,
    };
  }

  private async start(step: number): Promise<void> {
    const { options } = this;
    const next = options.batches.next();
    if (next.done === true || next.value.length === 0) {
      throw new LowrankError({
        code: 'trainer.batches',
        what: 'the batches',
        expected: `micro-batches for each of ${options.steps} steps`,
        got: next.done === true ? `an end before step ${step}` : `none for step ${step}`,
        remedy: 'Pass an iterator that starts over at its end, and yields at least one micro-batch for each step.',
      });
    }
    const { schedule = 'constant', warmup = 0, steps, learningRate: peak } = options;
    const learningRate = learningRateAt(step, { schedule, warmup, steps, learningRate: peak });
    const numbers = await this.trainStep.run(next.value, learningRate);
    const arrived = arrivalOf(numbers);
    // settle() awaits it and reports a failure; until then it must not count as unhandled.
    arrived.catch(() => undefined);
    this.pending.push({ step, learningRate, microBatches: next.value, rngStep: numbers.rngStep, arrived });
  }

  private async settle(): Promise<void> {
    const first = this.pending.shift();
    if (first === undefined) return;
    const { step, learningRate, microBatches, rngStep } = first;
    const { loss, gradNorm, measures, at } = await first.arrived;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw new NonFiniteError({ step, loss, gradNorm, origin: await this.trainStep.diagnose(microBatches, rngStep) });
    }
    const tokens = microBatches.reduce((total, batch) => total + (batch.tokens ?? 0), 0);
    const seconds = (at - this.lastArrival) / 1000;
    this.lastArrival = at;
    this.tokens += tokens;
    this.steps = step;
    this.finalLoss = loss;
    this.gradNorm = gradNorm;
    await this.options.onEvent?.({
      type: 'step',
      step,
      loss,
      gradNorm,
      learningRate,
      tokens,
      tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
      measures,
    });
  }
}

async function arrivalOf(numbers: StepNumbers): Promise<ArrivedNumbers> {
  const [loss, gradNorm, measures] = await Promise.all([numbers.loss, numbers.gradNorm, numbers.measures]);
  return { loss, gradNorm, measures, at: performance.now() };
}

type CheckedOptions = AdamwOptions &
  Pick<TrainOptions<TrainSession>, 'steps' | 'learningRate' | 'schedule' | 'warmup' | 'weightDecay'>;

function checkOptions(options: CheckedOptions): void {
  const { schedule = 'constant', warmup = 0, steps, learningRate } = options;
  checkSchedule({ schedule, warmup, steps, learningRate });
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
  check('beta1', options.beta1, (value) => value >= 0 && value < 1, 'a number of at least 0 and below 1');
  check('beta2', options.beta2, (value) => value >= 0 && value < 1, 'a number of at least 0 and below 1');
  check('epsilon', options.epsilon, (value) => value > 0, 'a number above 0');
}
