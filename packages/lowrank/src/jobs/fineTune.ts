import type { TextFiles, TextTokenizer } from '@lowrank/data';
import { readChatTemplate, readTokenizer } from '@lowrank/data';
import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { CausalModel } from '@lowrank/models';
import type { RunSample } from '@lowrank/study';
import type { Measures, StoppedBy } from '@lowrank/trainer';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { backendOnce } from '../device.js';
import { checkKeepsTables, newTokens } from '../front/newTokens.js';
import type { PlannedBytes, TrainingModel } from '../front/runOptions.js';
import type { RunState } from '../front/runState.js';
import type { FinishedRun } from '../front/runTraining.js';
import { isTask, runTraining } from '../front/runTraining.js';
import { trainedParametersOf } from '../front/trainedParameters.js';
import type { AgainRun } from '../runs/beginRun.js';
import { folderHooks } from '../runs/folderHooks.js';
import { isStandardInput } from '../runs/runInputs.js';
import { filesToSave } from '../saveFolder.js';
import type { BegunFolderRun } from './beginFolderRun.js';
import { beginFolderRun } from './beginFolderRun.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';
import type { Again } from './lostDevice.js';
import { goingOn, lostItsDevice, onAnotherDevice, reasonOf } from './lostDevice.js';
import { RunDevices } from './runDevices.js';
import { checkAutoBatch, mayShrink, smallerBatches } from './smallerBatches.js';
import { openModel } from './openModel.js';
import { taskModel } from './taskModel.js';
import type { TaskTraining } from '../front/taskRun.js';
import { taskOfRun } from './taskOfRun.js';
import { quantizationOf } from './quantization.js';
import { runSamples } from './runSamples.js';
import { ownTokenizer, tokenizerFiles } from './tokenizerFiles.js';

/** What `lowrank train` prints last. */
export interface FineTuneResult {
  readonly steps: number;
  /** Those of them whose batch `onNan` skipped; not there without any. */
  readonly skipped_steps?: number;
  /** Of the last step that was not skipped; null where none was taken. */
  readonly final_loss: number | null;
  /** Over all label tokens of the evaluation rows; null without them, and after an interruption. */
  readonly eval_loss: number | null;
  /** The same before the first step; null without evaluation rows. */
  readonly eval_loss_before: number | null;
  /** Of a preference loss, over the evaluation rows. */
  readonly eval_margin?: number;
  readonly eval_accuracy?: number;
  /** Metrics of the evaluation: `eval_rouge_l`. */
  readonly [measure: `eval_${string}`]: number | null | undefined;
  readonly tokens: number;
  readonly seconds: number;
  /** Numbers that were trained. */
  readonly trained_parameters: number;
  /** Of the file of weights that was saved; 0 where nothing was, since no step was taken. */
  readonly file_bytes: number;
  /** The adapter's folder; null with the method `full`. */
  readonly adapter: string | null;
  /** The Hugging Face folder; null with all methods but `full`. */
  readonly model: string | null;
  readonly interrupted: boolean;
  /** The step that the run went on from; null where it began here. */
  readonly resumed_from: number | null;
  /** The step with the best evaluation on the way; null where there was none. */
  readonly best_step: number | null;
  /** The checkpoint of its weights; null where none was saved. */
  readonly best_checkpoint: string | null;
  readonly stopped_by: StoppedBy;
}

/**
 * Fine-tunes a model folder on a file of rows and writes a PEFT folder (or, with `full`, a model folder), run.json,
 * metrics.jsonl and checkpoints. What `lowrank train` does.
 *
 * Where `output` holds an unfinished run, it goes on from its last checkpoint, with the run's own settings where none
 * are given.
 *
 * A run that loses its GPU's device goes on from its last checkpoint, or from its beginning, with another one where
 * `backend` opens them, three times at most; with `autoBatch` a run whose memory runs out goes on in smaller
 * micro-batches.
 *
 * All that can be known to be wrong is found before the first step. A run that fails without a checkpoint leaves
 * nothing behind in `output`.
 *
 * @throws LowrankError what claimOutput throws: `output.taken` where `output` holds something and `overwrite` is not
 * given; `run.changed` for another setting than the run has that goes on, `run.input` for other data or another model;
 * `run.nothingToResume`
 */
export async function fineTuneFolder(given: FineTuneFolderOptions): Promise<FineTuneResult> {
  checkAutoBatch(given);
  const devices = new RunDevices(given);
  let next: FineTuneFolderOptions = { ...given, backend: devices.backend };
  let again: AgainRun = {};
  for (let lost = 0; ;) {
    const run = await beginFolderRun(next, again);
    const held: Held = { state: undefined, planned: undefined };
    try {
      return await trainFolder(run, held);
    } catch (error) {
      const { options } = run;
      const found = (await lostItsDevice(error, devices.opened))
        ? await onAnotherDevice(run, { lost: ++lost, error, state: held.state })
        : mayShrink(error, options)
          ? await inSmallerBatches(run, { ...held, error })
          : undefined;
      await run.folder.fail(error, { goesOn: found?.state !== undefined });
      if (found === undefined) throw error;
      devices.release();
      next = found.options;
      again = { state: found.state, microBatches: found.microBatches ?? again.microBatches };
    } finally {
      // Removes what was made for it and is empty, too.
      await run.claim.discard();
    }
  }
}

/** What a run leaves to the one that goes on in its place. */
interface Held {
  state: RunState | undefined;
  planned: PlannedBytes | undefined;
}

/** The same steps in smaller micro-batches; undefined where they cannot be smaller. */
async function inSmallerBatches(
  run: BegunFolderRun,
  { state, planned, error }: Held & { readonly error: unknown },
): Promise<Again | undefined> {
  const { given, options, folder, resume } = run;
  const layout = smallerBatches(options);
  const isOnce = isStandardInput(options.data) || isStandardInput(options.evalData);
  if (layout === undefined || isOnce || options.signal?.aborted === true) return undefined;
  const again = await goingOn({ given, folder }, state);
  const step = again.step ?? resume?.step;
  const plannedBytes = { before: planned?.given, now: planned?.smaller };
  await given.onEvent?.({ type: 'batchReduced', message: reasonOf(error), ...layout, plannedBytes, step });
  const { batchSize, gradientAccumulation } = layout;
  const microBatches = { step: step ?? 0, batch_size: batchSize, gradient_accumulation: gradientAccumulation };
  return { ...again, microBatches };
}

async function trainFolder(run: BegunFolderRun, held: Held): Promise<FineTuneResult> {
  const { options, folder, resume } = run;
  const { saves } = methodNamed(options.method ?? 'lora');
  const { model, texts } = await trainingModel(options);
  const { open, backend } = model;
  const filesOf = (method: Method, learned: AppliedMethod): Promise<MethodFiles> =>
    filesToSave(method, learned, { ...open, tokenizer: texts });
  const trained = await runTraining(
    model,
    { ...options, resume },
    {
      ...folderHooks(run, { filesOf, backend, onEvent: (event) => options.onEvent?.(event) }),
      snapshot: (state) => (held.state = state),
      outOfMemory: (planned) => (held.planned = planned),
    },
  );
  const { steps, skipped, tokens, seconds, interrupted, evaluation, finalLoss, bestStep, stoppedBy } = trained.result;
  const evalLoss = evaluation?.loss ?? null;
  const saved = steps > 0;
  const fileBytes = saved ? await weightBytes(options.output, saves) : 0;
  // Before the method is taken out for the samples.
  const trainedParameters = trainedParametersOf(trained.applied);
  const samples = interrupted || !saved || isTask(model) ? [] : await samplesOf(model, options, trained);
  await folder.close({ eval_loss: evalLoss, file_bytes: saved ? fileBytes : null, samples });
  return {
    steps,
    ...(skipped > 0 && { skipped_steps: skipped }),
    final_loss: finalLoss ?? null,
    eval_loss: evalLoss,
    eval_loss_before: folder.lossBefore,
    ...evaluationMeasures(evaluation?.measures),
    tokens,
    seconds,
    trained_parameters: trainedParameters,
    file_bytes: fileBytes,
    adapter: saved && saves === 'adapter' ? options.output : null,
    model: saved && saves === 'model' ? options.output : null,
    interrupted,
    resumed_from: resume?.step ?? null,
    best_step: bestStep ?? null,
    best_checkpoint: folder.bestCheckpoint ?? null,
    stopped_by: stoppedBy,
  };
}

/** Samples of what was learned; a run that is saved does not fail for want of them. */
async function samplesOf(
  { open, tokenizer, backend }: TrainingModel,
  options: FineTuneFolderOptions,
  { held, ...learned }: FinishedRun,
): Promise<readonly RunSample[]> {
  const { samples: count = 3, signal } = options;
  if (count === 0 || held.length === 0) return [];
  try {
    const samples = await runSamples(open, learned, held, { count, tokenizer, backend: await backend(), signal });
    if (samples.length > 0) await options.onEvent?.({ type: 'samples', samples });
    return samples;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await options.onEvent?.({ type: 'warning', text: `no samples (${reason}); the run itself is saved` });
    return [];
  }
}

/** The model, and the files of its tokenizer where what is learned needs them. */
async function trainingModel(
  options: BegunFolderRun['options'],
): Promise<{ readonly model: TrainingModel | TaskTraining; readonly texts: Readonly<Record<string, string>> }> {
  const task = await taskOfRun(options);
  if (task !== undefined) return taskModel(options, task);
  const chosen = methodNamed(options.method ?? 'lora');
  if (options.addTokens !== undefined) checkKeepsTables(chosen);
  const backend = backendOnce(options.backend, options);
  const texts = await tokenizerFiles(options.model, options.initAdapter);
  const read = options.tokenizer ?? (await readTokenizer(texts));
  // The trainer lays trained weights out itself, from the host.
  const dense = chosen.saves === 'model';
  const warnings: string[] = [];
  const open = await openModel(options.model, {
    ...options,
    dense,
    backend: dense ? undefined : backend,
    onWarning: (text) => void warnings.push(text),
  });
  const { tokenizer, files } = await tokenizerOf({ ...options, tokenizer: read }, open.module, texts);
  for (const text of [...warnings, ...tokenizer.warnings]) await options.onEvent?.({ type: 'warning', text });
  const model: TrainingModel = {
    open,
    tokenizer,
    chatTemplate: () => readChatTemplate(texts, { file: options.template }),
    backend,
    quantization: quantizationOf(options),
  };
  return { model, texts: files };
}

/** The tokenizer, and its files where what is learned needs them: tokens were added, now or when an adapter began. */
async function tokenizerOf(
  { tokenizer, addTokens, initAdapter }: Omit<FineTuneFolderOptions, 'tokenizer'> & { tokenizer: TextTokenizer },
  module: CausalModel,
  texts: TextFiles,
): Promise<{ tokenizer: TextTokenizer; files: Readonly<Record<string, string>> }> {
  if (addTokens !== undefined) return newTokens(texts, module, addTokens);
  return { tokenizer, files: initAdapter === undefined ? {} : await ownTokenizer(initAdapter) };
}

function evaluationMeasures(measures: Measures = {}): Readonly<Record<`eval_${string}`, number>> {
  return Object.fromEntries(Object.entries(measures).map(([name, value]) => [`eval_${name}`, value]));
}

async function weightBytes(output: string, saved: 'adapter' | 'model'): Promise<number> {
  return (await stat(join(output, `${saved === 'model' ? 'model' : 'adapter_model'}.safetensors`))).size;
}
