import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeviceLost, isLowrankError, LowrankError } from '@lowrank/errors';
import { modelParameters } from './modelParameters.js';
import { StepClock } from './stepClock.js';
import type { DoneRun, FailedRun, RunProgress, StudyOutcome, StudyRun } from './studyRun.js';
import type { EvaluatedRun, StudyTrainer, TrainingSession } from './studyTrainer.js';

/** Options of `runStudyRun`. */
export interface RunStudyRunOptions {
  readonly trainer: StudyTrainer;
  /** Aborting gives the run up. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RunProgress) => void;
}

/** As many devices may a run lose; then the trouble is another one. */
export const mostLostDevices = 3;

/**
 * Does one run of a study: trains into `run.folder` and scores what was saved there. It needs nothing but the JSON, and
 * the model and data files that it names, so any process can do it.
 *
 * A run that fails (NaN, out of memory, a method that a model does not have) is an outcome; what it left in its folder
 * is removed. Undefined when the signal was aborted: nothing is left then either. A run whose device is lost is done
 * again on another one, where the trainer can open one.
 *
 * @throws LowrankError `webgpu.device-lost`, `cpu.threadLost`: there is no other device, or three were lost in this run
 */
export async function runStudyRun(run: StudyRun, options: RunStudyRunOptions): Promise<StudyOutcome | undefined> {
  const lost: string[] = [];
  for (;;) {
    const session = await options.trainer.openSession();
    try {
      return await outcomeOf(run, session, { ...options, lost });
    } catch (error) {
      if (!isDeviceLost(error) || lost.length === mostLostDevices) throw error;
      lost.push(`the device was lost, and the run done again on another one (${error.message})`);
      if (!(await options.trainer.replaceDevice?.())) throw error;
    } finally {
      session.dispose();
    }
  }
}

/** The options, and what is to be told of the run beside what it says itself. */
interface Attempt extends RunStudyRunOptions {
  readonly lost: readonly string[];
}

async function outcomeOf(run: StudyRun, session: TrainingSession, options: Attempt): Promise<StudyOutcome | undefined> {
  const { folder } = run;
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const done = await trainAndScore(run, session, options);
    if (done === undefined) await rm(folder, { recursive: true, force: true });
    return done;
  } catch (error) {
    // What is said of work on a device that is no more may be about the work.
    await session.check();
    if (isDeviceLost(error)) throw error;
    await rm(folder, { recursive: true, force: true });
    // An error on the way out of an aborted run is no failure of the run.
    return options.signal?.aborted === true ? undefined : failedRun(run, error);
  }
}

async function trainAndScore(
  run: StudyRun,
  session: TrainingSession,
  { signal, onProgress, lost }: Attempt,
): Promise<DoneRun | undefined> {
  const begun = performance.now();
  const clock = new StepClock();
  const warnings = new Set<string>(lost);
  const onWarning = (text: string): void => void warnings.add(text);
  const trained = await session.train(run, {
    signal,
    onWarning,
    onStep(event) {
      clock.add(event);
      const { step, steps, loss } = event;
      onProgress?.({ stage: 'training', step, steps, loss });
    },
  });
  if (trained === undefined) return undefined;
  const evaluated = await session.evaluate(run, trained, {
    signal,
    onWarning,
    onProgress: (step, steps) => onProgress?.({ stage: 'scoring', step, steps, loss: undefined }),
  });
  if (signal?.aborted === true) return undefined;
  checkFinite(evaluated);
  // Weights that only helped to choose a learning rate need not be kept.
  if (run.purpose === 'tune') await removeWeights(run.folder);
  return {
    id: run.id,
    status: 'done',
    steps: trained.steps,
    trainable_parameters: trained.trainedParameters,
    model_parameters: await modelParameters(run.training.model),
    train_loss: trained.finalLoss,
    scores: evaluated.scores,
    prompts: evaluated.prompts,
    tokens: evaluated.tokens,
    file_bytes: trained.fileBytes,
    samples: evaluated.texts.slice(0, 3),
    warnings: [...warnings],
    measured: {
      ...clock.measured(),
      peak_bytes: session.peakBytes,
      seconds: (performance.now() - begun) / 1000,
      device: session.device,
    },
  };
}

/** The last step can be the one that goes astray, and no other step sees it. */
function checkFinite({ loss }: EvaluatedRun): void {
  if (Number.isFinite(loss)) return;
  throw new LowrankError({
    code: 'trainer.nonFinite',
    what: 'the loss on the rows that the run is scored on',
    expected: 'a finite number',
    got: String(loss),
    remedy: 'Lower the learning rate, or clip gradients.',
  });
}

function failedRun({ id }: StudyRun, error: unknown): FailedRun {
  return {
    id,
    status: 'failed',
    error: {
      code: isLowrankError(error) ? error.code : 'internal',
      message: error instanceof Error ? error.message : String(error),
    },
  };
}

async function removeWeights(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith('.safetensors')) await rm(join(folder, name));
}
