import { Arena } from '@lowrank/tensor/backend';
import type { TokenInput } from './batch.js';
import type { Evaluation } from './evaluate.js';
import { evaluate, Evaluator } from './evaluate.js';
import { optimizerOptions } from './optimizer.js';
import { isBetter, scoreOf } from './scores.js';
import type { StepsTaken } from './stepLoop.js';
import { evaluatedEvent, StepLoop } from './stepLoop.js';
import type { StoppedBy, TrainOptions, TrainSession } from './trainOptions.js';
import { checkOptions } from './trainOptions.js';
import { createTrainStep } from './trainStep.js';

/** How training ended. */
export interface TrainResult<Session> {
  readonly session: Session;
  /** Steps taken, those before a resume included. */
  readonly steps: number;
  /** Those of them whose batch was skipped, as their loss or gradient was not finite. */
  readonly skipped: number;
  /** Of the last step that was not skipped; undefined where none was taken. */
  readonly finalLoss: number | undefined;
  /** Of the weights that training ended with; undefined after an interruption. */
  readonly evaluation: Evaluation | undefined;
  /** Tokens of all steps, prompts included and padding not; 0 where the batches state none. */
  readonly tokens: number;
  readonly seconds: number;
  readonly stoppedBy: StoppedBy;
  /** Whether the signal stopped it. */
  readonly interrupted: boolean;
  /** The step with the best evaluation on the way; undefined where there was none. */
  readonly bestStep: number | undefined;
  /** The step whose weights training ended with: the last, or the best where that was asked for. */
  readonly weightsOf: number;
}

/**
 * Trains with an optimizer (AdamW by default), a schedule, accumulation and clipping, over the batches in
 * order; evaluates, saves and stops on the way as the options say.
 *
 * @throws NonFiniteError when a loss or gradient is NaN or infinite; with `onNan: 'skip'` after ten such steps in
 * a row. The weights are then those from before that step, and nothing is saved
 * @throws LowrankError `trainer.spike` where a loss is a spike with `onSpike: 'stop'`, or after too many rollbacks
 * @throws LowrankError `trainer.schedule`, `trainer.option`, `trainer.state` for a state of another training, what
 * flattenParameters throws, and what the backend throws
 */
export async function train<Session extends TrainSession<Name>, Name extends string = TokenInput>(
  options: TrainOptions<Session, Name>,
): Promise<TrainResult<Session>> {
  checkOptions(options);
  const session = await options.createSession();
  const { kernelChoices } = session.backend;
  const { resume } = options;
  await kernelChoices?.begin(resume && { choices: resume.kernels });
  const arena = new Arena(session.backend);
  const evaluateBy = async (
    loss: TrainSession<Name>['loss'],
    signal?: AbortSignal,
  ): Promise<Evaluation | undefined> => {
    const { evaluation: batches, execution } = options;
    if (batches === undefined) return undefined;
    const evaluation = await evaluate({ backend: session.backend, loss, batches, arena, execution, signal });
    // One that was cut short is of some rows alone.
    return signal?.aborted === true ? undefined : evaluation;
  };
  const { bestBy } = options;
  try {
    // Before the first step, while the reference is still what it was.
    const reference = options.reference && (await evaluateBy(options.reference(session), options.signal));
    const referenceLoss = reference?.loss;
    if (reference !== undefined) {
      const { loss, tokens, measures } = reference;
      await options.onEvent?.({ type: 'baseline', loss, tokens, measures });
    }
    const run = await runSteps(options, session, { arena, referenceLoss });
    const { stoppedBy, best, weightsOf, evaluation: last, ...taken } = run;
    const interrupted = stoppedBy === 'signal';
    // Before the first step there is nothing that was learned, and perhaps an older result where it would go.
    const at = { ...taken, step: weightsOf, stoppedBy };
    const place = run.steps === 0 ? undefined : await options.save?.(session, at);
    if (place !== undefined) await options.onEvent?.({ type: 'saved', step: weightsOf, place });
    let evaluation = interrupted ? undefined : last;
    if (!interrupted && evaluation === undefined) {
      evaluation = await evaluateBy(session.evaluationLoss ?? session.loss);
      if (evaluation !== undefined) {
        evaluation = { ...evaluation, measures: { ...evaluation.measures, ...(await options.measure?.(session)) } };
        const isBest =
          best === undefined || !isBetter(best, scoreOf({ step: weightsOf, ...evaluation }, bestBy), bestBy);
        await options.onEvent?.(evaluatedEvent(weightsOf, evaluation, { referenceLoss, isBest, isLast: true }));
      }
    }
    return { session, ...taken, evaluation, stoppedBy, interrupted, bestStep: best?.step, weightsOf };
  } finally {
    arena.dispose();
    await kernelChoices?.begin();
  }
}

async function runSteps<Session extends TrainSession<Name>, Name extends string>(
  options: TrainOptions<Session, Name>,
  session: Session,
  { arena, referenceLoss }: { readonly arena: Arena; readonly referenceLoss: number | undefined },
): Promise<StepsTaken & { readonly weightsOf: number }> {
  const { weightDecay, execution, checkpointing, resume } = options;
  const { backend, loss, evaluationLoss = loss, parameters, constants, random } = session;
  const trainStep = await createTrainStep({
    backend,
    loss,
    parameters,
    constants,
    random,
    arena,
    ...optimizerOptions(options),
    weightDecay,
    execution,
    checkpointing,
  });
  const evaluator =
    options.evaluateEvery === undefined
      ? undefined
      : new Evaluator<Name>({ backend, loss: evaluationLoss, arena, execution });
  try {
    if (resume !== undefined) await trainStep.restore(resume);
    const taken = await new StepLoop({ options, session, trainStep, evaluator, referenceLoss }).run();
    const { best, steps, stoppedBy } = taken;
    const goesBack = best !== undefined && best.step !== steps && stoppedBy !== 'signal';
    const state = goesBack ? await options.loadBest?.(best) : undefined;
    if (state === undefined) return { ...taken, weightsOf: steps };
    await trainStep.restore(state);
    return { ...taken, evaluation: undefined, weightsOf: state.step };
  } finally {
    await evaluator?.dispose();
    await trainStep.dispose();
  }
}
