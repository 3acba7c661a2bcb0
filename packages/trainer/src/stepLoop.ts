import { LowrankError } from '@lowrank/errors';
import { readTensor, toFloat32 } from '@lowrank/tensor';
import type { Batch, Measures } from './batch.js';
import type { Evaluation, Evaluator } from './evaluate.js';
import type { EvaluatedEvent } from './events.js';
import { mostNanInRow } from './nanRules.js';
import { NonFiniteError } from './nonFinite.js';
import { learningRateAt } from './schedule.js';
import { Scores } from './scores.js';
import { LossHistory, mostRollbacks, spikeError, spikeWindow } from './spikes.js';
import type { StoppedBy, TrainOptions, TrainSession } from './trainOptions.js';
import type { Score, TrainState } from './trainState.js';
import { holdState } from './trainState.js';
import type { StepNumbers, TrainStep } from './trainStep.js';

/** Steps whose numbers may still be arriving when the device gets the next. */
const inFlight = 2;

/** What a loop did, with what came before a resume. */
export interface StepsTaken {
  readonly steps: number;
  readonly skipped: number;
  readonly finalLoss: number | undefined;
  readonly tokens: number;
  readonly seconds: number;
  readonly stoppedBy: StoppedBy;
  readonly best: Score | undefined;
  /** Of the weights of the last step, where it was evaluated. */
  readonly evaluation: Evaluation | undefined;
}

export interface LoopParts<Session extends TrainSession<Name>, Name extends string> {
  readonly options: TrainOptions<Session, Name>;
  readonly session: Session;
  readonly trainStep: TrainStep<Name>;
  /** Undefined where nothing is evaluated on the way. */
  readonly evaluator: Evaluator<Name> | undefined;
  readonly referenceLoss: number | undefined;
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

/**
 * Takes the steps. The device gets a step while the numbers of the two before are on their way; where something is to
 * be done with the weights of a step (evaluation, checkpoint, the caller's own), the loop waits for its numbers first.
 */
export class StepLoop<Session extends TrainSession<Name>, Name extends string> {
  private readonly pending: Pending<Name>[] = [];
  private readonly scores: Scores;
  /** Of the last step whose numbers have arrived. */
  private step: number;
  /** Of the last step that was not skipped. */
  private loss: number | undefined;
  private gradNorm: number | undefined;
  private tokens: number;
  private skippedInRow: number;
  private evaluation: Evaluation | undefined;
  /** Undefined where spikes are ignored. */
  private readonly losses: LossHistory | undefined;
  private rollbacks: { readonly count: number; readonly step: number };
  /** What a spike goes back to. */
  private snapshot: TrainState | undefined;
  /** The step of the last checkpoint. */
  private savedStep: number;
  private lastArrival = 0;
  private begun = 0;
  private savedTime = 0;

  constructor(private readonly parts: LoopParts<Session, Name>) {
    const { earlyStopping, resume, bestBy, onSpike = 'ignore', spikeFactor: factor = 3 } = parts.options;
    this.scores = new Scores(earlyStopping, resume, bestBy);
    this.losses = onSpike === 'ignore' ? undefined : new LossHistory({ factor, recent: resume?.recentLosses });
    this.rollbacks = resume?.rollbacks ?? { count: 0, step: 0 };
    this.step = this.savedStep = resume?.step ?? 0;
    this.tokens = resume?.tokens ?? 0;
    this.skippedInRow = resume?.skippedInRow ?? 0;
    this.loss = resume?.loss;
    this.gradNorm = resume?.gradNorm;
  }

  async run(): Promise<StepsTaken> {
    const { options, trainStep } = this.parts;
    const sizes = trainStep.vectors.flatMap(({ views }) => views.map(({ size }) => size));
    const trainedParameters = sizes.reduce((total, size) => total + size, 0);
    await options.onEvent?.({ type: 'started', steps: options.steps, from: this.step, trainedParameters });
    await this.prepare();
    this.begun = this.savedTime = this.lastArrival = performance.now();
    // A run that was stopped between a step and its evaluation makes up for it.
    if (this.step > 0) await this.rest();
    if (this.snapshotEvery !== undefined) await this.keep();
    for (let step = this.step + 1; step <= options.steps && !this.ends; step++) {
      await this.start(step);
      // All that a step needs is compiled: from here on numbers depend on no clock.
      this.parts.session.backend.kernelChoices?.fix();
      if (this.isRest(step)) await this.rest();
      else if (this.pending.length > inFlight) await this.settle();
    }
    await this.drain();
    return this.end();
  }

  private get ends(): boolean {
    return this.parts.options.signal?.aborted === true || this.scores.exhausted;
  }

  private async prepare(): Promise<void> {
    const { options, trainStep, evaluator } = this.parts;
    if (options.largest !== undefined) await trainStep.prepare(options.largest);
    if (evaluator === undefined) return;
    for await (const first of options.evaluation ?? []) {
      await evaluator.prepare(first);
      break;
    }
  }

  private async end(): Promise<StepsTaken> {
    const { options, session } = this.parts;
    const { step, loss, tokens, scores } = this;
    const early = scores.exhausted ? 'early-stopping' : 'signal';
    const stoppedBy = step >= options.steps ? 'steps' : early;
    if (stoppedBy === 'signal') await options.onEvent?.({ type: 'interrupted', step });
    if (stoppedBy === 'signal' && step > this.savedStep) await this.save();
    if (step > 0) await checkLearned(session, { step, loss, gradNorm: this.gradNorm });
    return {
      steps: step,
      skipped: this.parts.trainStep.skipped,
      finalLoss: loss,
      tokens,
      seconds: this.seconds,
      stoppedBy,
      best: scores.best,
      evaluation: scores.evaluatedAt === step ? this.evaluation : undefined,
    };
  }

  private get seconds(): number {
    return (this.parts.options.resume?.seconds ?? 0) + (performance.now() - this.begun) / 1000;
  }

  /** Whether something is to be done with the weights of this step. */
  private isRest(step: number): boolean {
    const isLast = step === this.parts.options.steps;
    return isLast || this.evaluates(step) || this.saves(step) || this.snapshots(step) || this.pauses(step);
  }

  private get snapshotEvery(): number | undefined {
    const { snapshotEvery, onSpike } = this.parts.options;
    return snapshotEvery ?? (onSpike === 'rollback' ? 20 : undefined);
  }

  private snapshots(step: number): boolean {
    return this.snapshotEvery !== undefined && step % this.snapshotEvery === 0;
  }

  private evaluates(step: number): boolean {
    const { steps, evaluateEvery } = this.parts.options;
    return evaluateEvery !== undefined && (step % evaluateEvery === 0 || step === steps);
  }

  private saves(step: number): boolean {
    const { steps, saveEvery, saveEveryMinutes } = this.parts.options;
    const isLast = step === steps || this.scores.exhausted;
    return (
      (saveEvery !== undefined && (step % saveEvery === 0 || isLast)) ||
      (saveEveryMinutes !== undefined && (performance.now() - this.savedTime >= saveEveryMinutes * 60_000 || isLast))
    );
  }

  private pauses(step: number): boolean {
    const { every } = this.parts.options.betweenSteps ?? {};
    return typeof every === 'number' ? step % every === 0 : every?.(step) === true;
  }

  /** Waits for all that was started, and does what is to be done with the weights as they are then. */
  private async rest(): Promise<void> {
    const { options, session } = this.parts;
    const isNew = this.pending.length > 0;
    await this.drain();
    const { step, loss } = this;
    const isBest = this.evaluates(step) && this.scores.evaluatedAt < step && (await this.evaluate());
    const saves = step > this.savedStep && (this.saves(step) || (isBest && options.saveBest === true));
    if (saves) await this.save();
    // Where a run goes on from its checkpoint, that is what a spike goes back to: so it is without a stop.
    if (isNew && (this.snapshots(step) || (saves && this.snapshotEvery !== undefined))) await this.keep();
    if (isNew && this.pauses(step)) await options.betweenSteps?.run(session, { step, loss: loss ?? NaN });
    this.lastArrival = performance.now();
  }

  /** Returns whether it is the best so far. */
  private async evaluate(): Promise<boolean> {
    const { options, evaluator, referenceLoss } = this.parts;
    const { step } = this;
    if (evaluator === undefined || options.signal?.aborted === true) return false;
    const { measures, ...rest } = await evaluator.run(options.evaluation ?? [], options.signal);
    const more = aborted(options.signal) ? undefined : await options.measure?.(this.parts.session, options.signal);
    // It was cut short: what it says is of some rows alone.
    if (aborted(options.signal)) return false;
    const evaluation = { ...rest, measures: { ...measures, ...more } };
    this.evaluation = evaluation;
    const isBest = this.scores.add({ step, ...evaluation });
    await options.onEvent?.(evaluatedEvent(step, evaluation, { referenceLoss, isBest, isLast: false }));
    return isBest;
  }

  private async save(): Promise<void> {
    const { options, session } = this.parts;
    const { step, loss, gradNorm } = this;
    this.savedTime = performance.now();
    this.savedStep = step;
    if (options.checkpoint === undefined) return;
    await checkLearned(session, { step, loss, gradNorm });
    const place = await options.checkpoint(session, this.state());
    if (place !== undefined) await options.onEvent?.({ type: 'checkpoint', step, place });
  }

  private state(): TrainState {
    const { loss, gradNorm, skippedInRow, tokens, seconds, parts, scores, losses, rollbacks } = this;
    const spikes = losses && { recentLosses: [...losses.recent], rollbacks };
    const numbers = { loss, gradNorm, skippedInRow, ...spikes, tokens, seconds };
    const kernels = parts.session.backend.kernelChoices?.saved();
    const chosen = kernels === undefined ? {} : { kernels };
    return { ...parts.trainStep.state(), ...scores.saved, ...numbers, ...chosen, data: parts.options.batches.state };
  }

  /** Keeps the state in memory. */
  private async keep(): Promise<void> {
    const { options, session } = this.parts;
    this.snapshot = await holdState(this.state());
    await options.snapshot?.(session, this.snapshot);
  }

  private async start(step: number): Promise<void> {
    const { options } = this.parts;
    const next = await options.batches.next();
    if (next.done === true || next.value.length === 0) {
      throw new LowrankError({
        code: 'trainer.batches',
        what: 'the batches',
        expected: `micro-batches for each of ${options.steps} steps`,
        got: next.done === true ? `an end before step ${step}` : `none for step ${step}`,
        remedy: 'Pass an iterator that starts over at its end, and yields at least one micro-batch for each step.',
      });
    }
    await this.launch(step, next.value);
  }

  private async launch(step: number, microBatches: readonly Batch<Name>[]): Promise<void> {
    const { options, trainStep } = this.parts;
    const learningRate = learningRateAt(step, options);
    const numbers = await trainStep.run(microBatches, learningRate);
    const arrived = arrivalOf(numbers);
    // settle() awaits it and reports a failure; until then it must not count as unhandled.
    arrived.catch(() => undefined);
    this.pending.push({ step, learningRate, microBatches, rngStep: numbers.rngStep, arrived });
  }

  private async drain(): Promise<void> {
    while (this.pending.length > 0) await this.settle();
  }

  private async settle(): Promise<void> {
    const { options, session } = this.parts;
    const first = this.pending.shift();
    if (first === undefined) return;
    const { step, learningRate, microBatches } = first;
    const arrived = await first.arrived;
    const { loss, gradNorm, measures, at } = arrived;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) return this.skip(first, arrived);
    if (this.losses?.isSpike(loss) === true) return this.rollBack(first, arrived);
    this.losses?.add(loss);
    this.skippedInRow = 0;
    const tokens = microBatches.reduce((total, batch) => total + (batch.tokens ?? 0), 0);
    const seconds = (at - this.lastArrival) / 1000;
    this.lastArrival = at;
    this.tokens += tokens;
    this.step = step;
    this.loss = loss;
    this.gradNorm = gradNorm;
    const tokensPerSecond = seconds > 0 ? tokens / seconds : 0;
    const memoryBytes = session.backend.memory.bytes;
    const numbers = { loss, gradNorm, learningRate, tokens, tokensPerSecond, memoryBytes, measures };
    await options.onEvent?.({ type: 'step', step, ...numbers });
  }

  /**
   * Leaves out a step whose loss or gradient is not finite, or ends the training with it. Neither it nor what was
   * started after it has changed anything, so nothing has to be brought back.
   */
  private async skip({ step, microBatches, rngStep }: Pending<Name>, numbers: ArrivedNumbers): Promise<void> {
    const { options, trainStep } = this.parts;
    const { loss, gradNorm, at } = numbers;
    const inRow = ++this.skippedInRow;
    const isEnd = options.onNan !== 'skip' || inRow >= mostNanInRow;
    if (isEnd && options.onSpike === 'rollback' && this.mayRollBack(step))
      return this.rollBack({ step, microBatches, rngStep }, numbers);
    if (isEnd) {
      const origin = await trainStep.diagnose(microBatches, rngStep);
      throw new NonFiniteError({ step, loss, gradNorm, origin, inRow });
    }
    const after = await this.recalled();
    trainStep.skip({ step, rngStep: rngStep + microBatches.length });
    this.lastArrival = at;
    this.step = step;
    await options.onEvent?.({ type: 'skipped', step, loss, gradNorm, inRow, mostInRow: mostNanInRow });
    for (const again of after) await this.launch(again.step, again.microBatches);
  }

  /** What was started after a step, to be started again. */
  private async recalled(): Promise<readonly Pending<Name>[]> {
    const after = this.pending.splice(0);
    for (const { arrived } of after) await arrived;
    return after;
  }

  private mayRollBack(step: number): boolean {
    const { count, step: last } = this.rollbacks;
    return this.snapshot !== undefined && (count < mostRollbacks || step - last > spikeWindow.most);
  }

  /** Takes the weights of the last snapshot back, and leaves out the batches since then. */
  private async rollBack(
    { step, microBatches, rngStep }: Pick<Pending<Name>, 'step' | 'microBatches' | 'rngStep'>,
    { loss, gradNorm, at }: ArrivedNumbers,
  ): Promise<void> {
    const { options, trainStep } = this.parts;
    const { snapshot, losses, rollbacks } = this;
    const median = losses?.median ?? NaN;
    if (options.onSpike !== 'rollback' || snapshot === undefined || !this.mayRollBack(step))
      throw spikeError({ step, loss, median, rollbacks: options.onSpike === 'rollback' ? rollbacks.count : 0 });
    const after = await this.recalled();
    await trainStep.restore(snapshot);
    trainStep.skip({ step, rngStep: rngStep + microBatches.length, count: step - snapshot.step });
    const isFirst = step - rollbacks.step > spikeWindow.most;
    this.rollbacks = { count: isFirst ? 1 : rollbacks.count + 1, step };
    this.skippedInRow = 0;
    this.loss = snapshot.loss;
    this.gradNorm = snapshot.gradNorm;
    this.tokens = snapshot.tokens;
    this.lastArrival = at;
    this.step = step;
    await options.onEvent?.({ type: 'rolledBack', step, loss, gradNorm, median, to: snapshot.step });
    for (const again of after) await this.launch(again.step, again.microBatches);
  }
}

async function arrivalOf(numbers: StepNumbers): Promise<ArrivedNumbers> {
  const [loss, gradNorm, measures] = await Promise.all([numbers.loss, numbers.gradNorm, numbers.measures]);
  return { loss, gradNorm, measures, at: performance.now() };
}

export function evaluatedEvent(
  step: number,
  { loss, tokens, measures }: Evaluation,
  more: Pick<EvaluatedEvent, 'referenceLoss' | 'isBest' | 'isLast'>,
): EvaluatedEvent {
  return { type: 'evaluated', step, loss, tokens, measures, ...more };
}

function aborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** The last update is followed by no step whose loss would tell. @throws NonFiniteError */
async function checkLearned<Name extends string>(
  { parameters }: TrainSession<Name>,
  { step, loss, gradNorm }: { readonly step: number; readonly loss?: number; readonly gradNorm?: number },
): Promise<void> {
  for (const { name, parameter } of parameters) {
    const values = toFloat32(await readTensor(parameter.tensor), parameter.tensor.dtype);
    if (values.every(Number.isFinite)) continue;
    throw new NonFiniteError({ step, loss: loss ?? NaN, gradNorm: gradNorm ?? NaN, updated: name });
  }
}
