import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TextTokenizer } from '@lowrank/data';
import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { evaluateTexts } from '../evaluate.js';
import type { EvaluatedFolder } from '../evaluate.js';
import { fineTune } from '../fineTune.js';
import type { FineTuneResult } from '../fineTune.js';
import { meteredBackend } from './meteredBackend.js';
import { modelParameters } from './modelParameters.js';
import { StepClock } from './stepClock.js';
import { studyTokenizer } from './tokenizers.js';
import type { DoneRun, RunProgress, StudyOutcome, StudyRun } from './studyRun.js';

export interface RunStudyRunOptions {
  /** Lives on after the run; what the run allocated on it is freed. */
  readonly backend: Backend;
  /** When aborted, the run is given up. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: RunProgress) => void;
}

/**
 * Does one run of a study: trains into `run.folder` and scores what was saved there. It needs nothing but the JSON, and
 * the model and data files that it names, so any process can do it.
 *
 * A run that fails (NaN, out of memory, a method that a model does not have) is an outcome; what it left in its folder
 * is removed. Undefined when the signal was aborted: nothing is left then either.
 *
 * @throws LowrankError `webgpu.device-lost`: no run that follows could be done on this backend
 */
export async function runStudyRun(run: StudyRun, options: RunStudyRunOptions): Promise<StudyOutcome | undefined> {
  const { id, folder } = run;
  const metered = meteredBackend(options.backend);
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const done = await trainAndScore(run, { ...options, backend: metered.backend });
    if (done === undefined) await rm(folder, { recursive: true, force: true });
    return done === undefined ? undefined : { ...done, measured: { ...done.measured, peak_bytes: metered.peakBytes } };
  } catch (error) {
    if (isLowrankError(error) && error.code === 'webgpu.device-lost') throw error;
    await rm(folder, { recursive: true, force: true });
    // What ends in being given up is no failure of the run.
    if (options.signal?.aborted === true) return undefined;
    const code = isLowrankError(error) ? error.code : 'internal';
    return { id, status: 'failed', error: { code, message: error instanceof Error ? error.message : String(error) } };
  } finally {
    metered.release();
  }
}

async function trainAndScore(
  run: StudyRun,
  { backend, signal, onProgress }: RunStudyRunOptions,
): Promise<DoneRun | undefined> {
  const { id, training, folder, purpose } = run;
  const begun = performance.now();
  const clock = new StepClock();
  const warnings = new Set<string>();
  let steps = 0;
  const tokenizer = await studyTokenizer(training.model);
  const trained = await fineTune({
    ...training,
    backend,
    tokenizer,
    output: folder,
    signal,
    onEvent(event) {
      if (event.type === 'warning') warnings.add(event.text);
      if (event.type === 'started') ({ steps } = event);
      if (event.type !== 'step') return;
      clock.add(event);
      onProgress?.({ stage: 'training', step: event.step, steps, loss: event.loss });
    },
  });
  if (trained.interrupted) return undefined;
  const evaluated = await score(run, trained, {
    backend,
    tokenizer,
    signal,
    onProgress,
    onWarning: (text) => void warnings.add(text),
  });
  await backend.finish();
  if (signal?.aborted === true) return undefined;
  const { loss } = evaluated.result;
  // The last step can be the one that goes astray, and no other step sees it.
  if (!Number.isFinite(loss))
    throw new LowrankError({
      code: 'trainer.nonFinite',
      what: 'the loss on the rows that the run is scored on',
      expected: 'a finite number',
      got: String(loss),
      remedy: 'Lower the learning rate, or clip gradients.',
    });
  // What only helped to choose need not be kept.
  if (purpose === 'tune') await removeWeights(folder);
  const { result, texts } = evaluated;
  return {
    id,
    status: 'done',
    steps: trained.steps,
    trainable_parameters: trained.trained_parameters,
    model_parameters: await modelParameters(training.model),
    train_loss: trained.final_loss,
    scores: result.scores,
    prompts: result.prompts,
    tokens: result.tokens,
    file_bytes: trained.file_bytes,
    samples: texts.slice(0, 3),
    warnings: [...warnings],
    measured: {
      ...clock.measured(),
      peak_bytes: 0,
      seconds: (performance.now() - begun) / 1000,
      device: `${backend.name}, ${backend.description}`,
    },
  };
}

/** Loads what was saved, as anyone would who got the files. */
async function score(
  { training, scoring, folder }: StudyRun,
  { model, adapter }: FineTuneResult,
  {
    onWarning,
    tokenizer,
    ...options
  }: RunStudyRunOptions & { tokenizer: TextTokenizer; onWarning: (text: string) => void },
): Promise<EvaluatedFolder> {
  const { quantization, doubleQuantization, maxLength, template } = training;
  return evaluateTexts({
    ...scoring,
    ...(model === null
      ? { model: training.model, adapter: adapter ?? folder, quantization, doubleQuantization }
      : { model }),
    maxLength,
    template,
    tokenizer,
    backend: options.backend,
    signal: options.signal,
    onWarning,
    onProgress: (step, steps) => options.onProgress?.({ stage: 'scoring', step, steps, loss: undefined }),
  });
}

async function removeWeights(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (name.endsWith('.safetensors')) await rm(join(folder, name));
}
