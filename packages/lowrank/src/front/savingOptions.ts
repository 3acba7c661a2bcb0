import { LowrankError } from '@lowrank/errors';
import type { AppliedMethod, Method, MethodName } from '@lowrank/methods';
import type { Score, StepState, TrainOptions, TrainSession, TrainState } from '@lowrank/trainer';
import { holdState } from '@lowrank/trainer';
import type { CheckpointOptions } from '../settings/methodTables.js';
import type { RunState } from './runState.js';

/** A method at work in the model that is being trained. */
export interface Learned {
  readonly method: Method;
  readonly applied: AppliedMethod;
}

/** What is done on the way. */
export interface SavingHooks {
  /** Saves a state that the run can go on from; returns where, or undefined where it could not. */
  readonly checkpoint?: ((state: RunState, learned: Learned) => Promise<string | undefined>) | undefined;
  /** Gets each state that is kept in host memory. */
  readonly snapshot?: ((state: RunState, learned: Learned) => unknown) | undefined;
  /** The state of the best step, from wherever it was saved. Default: it is held in memory. */
  readonly loadBest?: ((best: Score) => Promise<StepState | undefined>) | undefined;
}

type Saving = Pick<
  TrainOptions<TrainSession>,
  | 'evaluateEvery'
  | 'earlyStopping'
  | 'saveEvery'
  | 'saveEveryMinutes'
  | 'saveBest'
  | 'checkpoint'
  | 'snapshot'
  | 'loadBest'
  | 'resume'
>;

/** What the trainer evaluates and saves on the way, and where it goes on. */
export function savingOptions(
  options: CheckpointOptions & { readonly resume?: RunState | undefined },
  hooks: SavingHooks,
  learned: Learned,
): Saving {
  const { evaluateEvery, earlyStopping, saveEvery, saveEveryMinutes, loadBestModelAtEnd = false, resume } = options;
  const inMemory = loadBestModelAtEnd && hooks.loadBest === undefined;
  let best = resume?.best?.step === resume?.step ? resume : undefined;
  if (inMemory && resume?.best !== undefined && best === undefined) throw unknownBest(resume.best);
  const wholeOf = (state: TrainState): RunState => {
    const form = learned.applied.form ?? null;
    return { ...state, method: learned.method.name as MethodName, form };
  };
  const checkpoint = async (_: TrainSession, state: TrainState): Promise<string | undefined> => {
    const whole = wholeOf(state);
    if (inMemory && state.best?.step === state.step) best = await holdState(whole);
    return hooks.checkpoint?.(whole, learned);
  };
  const saves = saveEvery !== undefined || saveEveryMinutes !== undefined;
  return {
    evaluateEvery,
    earlyStopping,
    saveEvery,
    saveEveryMinutes,
    saveBest: evaluateEvery !== undefined && (saves || loadBestModelAtEnd || earlyStopping !== undefined),
    checkpoint: inMemory || hooks.checkpoint !== undefined ? checkpoint : undefined,
    snapshot: hooks.snapshot && ((_, state) => hooks.snapshot?.(wholeOf(state), learned)),
    loadBest: loadBestModelAtEnd ? (hooks.loadBest ?? (() => Promise.resolve(best))) : undefined,
    resume,
  };
}

function unknownBest({ step }: Score): LowrankError {
  return new LowrankError({
    code: 'run.best',
    what: (names) => `${names('loadBestModelAtEnd')} with a state to go on from`,
    expected: 'a state of the step with the lowest loss of an evaluation, which is held in memory',
    got: `a later one: the lowest was after step ${step}`,
    remedy: 'Go on from the state of that step, or keep states yourself and restore the best one.',
    setting: 'loadBestModelAtEnd',
  });
}
