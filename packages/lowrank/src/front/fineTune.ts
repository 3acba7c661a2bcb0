import { LowrankError } from '@lowrank/errors';
import { methodNames } from '@lowrank/methods';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import { checkpointSettings, continueSettings, outputSettings } from '../settings/runSettings.js';
import type { DecidedByModel, FineTuneOptions, TrainingWay } from './fineTuneOptions.js';
import type { Model } from './model.js';
import { findFiles } from './modelSource.js';
import { originFilesToSave } from './originFiles.js';
import type { TrainedModel } from './run.js';
import { Run } from './run.js';
import type { RunState } from './runState.js';
import { runTraining } from './runTraining.js';
import type { TaskedModel } from './taskedModel.js';

/** A training under way: await it for the finished {@link Run}. */
export interface FineTuning extends Promise<Run> {
  /** Finishes the current step; the run keeps what was learned by then. */
  stop(): void;
}

/**
 * Fine-tunes a model: puts a method into it (LoRA unless `method` says otherwise), trains it on rows, and leaves it in
 * the model, in use:
 *
 *     const run = await fineTune(model, { data: 'rows.jsonl', r: 16, steps: 200 });
 *     await run.save('./adapter');
 *
 * With `output` the run has a folder: it goes on there after whatever ended it.
 *
 * A model with the head of a task learns that, from rows of the task, in the labels that it was loaded with:
 *
 *     const judge = await loadModel('./minilm', { task: 'text-classification', labels: ['mail', 'spam'] });
 *     await fineTune(judge, { data: [{ text: 'Win a prize!', label: 'spam' }], steps: 100 });
 *
 * @throws LowrankError `cli.option` for an option that does not exist (naming the nearest that does), the tables' codes
 * for a wrong value, `cli.conflict` for two that exclude each other; what the data, the method and the training throw;
 * with `output` what claimOutput throws, `run.changed` for other settings than those of the run that goes on,
 * `run.input` for other data or another model, `run.nothingToResume`
 */
export function fineTune(model: Model | TaskedModel, options: FineTuneOptions): FineTuning {
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const finished = 'task' in model ? startTask(model, options, signal) : start(model, options, signal);
  return Object.assign(finished, { stop: () => controller.abort() });
}

async function startTask(model: TaskedModel, given: FineTuneOptions, signal: AbortSignal): Promise<Run> {
  const { evaluation, taskTraining } = await import('./taskTraining.js');
  checkGiven(model, given);
  const training = await taskTraining(model, given);
  const { name, tokenizerFiles } = model;
  const trained = {
    name,
    tokenizerFiles,
    training,
    evaluate: evaluation(model),
    releasePlans: () => Promise.resolve(),
  };
  return trainWith(trained, given, { ...wayWithout(given), signal });
}

async function start(model: Model, given: FineTuneOptions, signal: AbortSignal): Promise<Run> {
  if (given.output !== undefined) {
    const { fineTuneInFolder } = await import('./fineTuneInFolder.js');
    return fineTuneInFolder(model, { ...given, output: given.output }, { check: checkGiven, train: trainWith, signal });
  }
  checkGiven(model, given);
  return trainWith(model, given, { ...wayWithout(given), signal });
}

/** The way of a run without a folder. */
function wayWithout({ onCheckpoint, resumeFrom }: FineTuneOptions): Omit<TrainingWay, 'signal'> {
  const checkpoint = onCheckpoint && (async (state: RunState) => (await onCheckpoint(state), `step ${state.step}`));
  return { resume: resumeFrom, hooks: { checkpoint } };
}

async function trainWith(
  model: TrainedModel,
  given: FineTuneOptions,
  { resume, signal, hooks }: TrainingWay,
): Promise<Run> {
  const { onStep, onEvent, onCheckpoint: _, betweenSteps, resumeFrom: __, initAdapter, ...options } = given;
  const adapter = initAdapter === undefined ? undefined : (await findFiles(initAdapter, 'adapter')).files;
  // What was compiled for writing holds the weights as they were.
  await model.releasePlans();
  const finished = await runTraining(
    model.training,
    { ...options, resume, initAdapter: adapter, baseModel: options.baseModel ?? model.name, signal },
    {
      ...hooks,
      betweenSteps: betweenSteps && {
        every: betweenSteps.every,
        run: ({ method, applied }, { step, loss }) =>
          betweenSteps.run({ step, loss, files: () => originFilesToSave(model, method, applied) }),
      },
      async onEvent(event) {
        await hooks.onEvent?.(event);
        if (event.type === 'step') await onStep?.(event);
        await onEvent?.(event);
      },
    },
  );
  await model.releasePlans();
  return new Run(model, finished, options);
}

const own = [
  'data',
  'evalData',
  'output',
  'initAdapter',
  'baseModel',
  'parts',
  'resumeFrom',
  'onStep',
  'onEvent',
  'onCheckpoint',
  'betweenSteps',
  'signal',
];
const taskOptions = ['task', 'problemType', 'docStride', 'maxAnswerLength', 'nBest', 'impossibleAnswers'];
const decided: readonly string[] = [
  'quantization',
  'doubleQuantization',
  'quantizeEmbeddings',
  'template',
] satisfies DecidedByModel[];

/** @throws LowrankError `lowrank.option`, `cli.option`, `cli.conflict` */
function checkGiven(model: Model | TaskedModel, given: FineTuneOptions): void {
  const { method = 'lora' } = given;
  if (!methodNames.includes(method)) throw wrongOption('method', methodNames.join(', '), String(method));
  if (given.data === undefined)
    throw wrongOption('data', 'rows to train on', 'nothing', "For example: data: 'rows.jsonl'");
  const options: Readonly<Record<string, unknown>> = { ...given };
  if (given.autoBatch === true)
    throw wrongOption('autoBatch', 'none here', 'true', 'fineTuneFolder of lowrank/node does it; or give a batchSize.');
  const ofTask = taskOptions.find((name) => options[name] !== undefined);
  if (ofTask !== undefined && !('task' in model && ofTask === 'docStride'))
    throw wrongOption(ofTask, 'none here', 'one', 'Load the model for its task: loadModel(source, { task, labels }).');
  const late = decided.find((name) => options[name] !== undefined);
  if (late !== undefined)
    throw wrongOption(late, 'none here', 'one', `Give it to loadModel: loadModel(source, { ${late} }).`);
  checkValues(options, own, [checkpointSettings, continueSettings, outputSettings]);
  const ofFolder = ['resume', 'overwrite', 'keepLast'].find((name) => options[name] !== undefined);
  if (ofFolder !== undefined && given.output === undefined)
    throw wrongOption(ofFolder, 'an output with it', 'none', "Name the run's folder: output: 'runs/first'.");
  if (given.resumeFrom !== undefined && given.output !== undefined)
    throw wrongOption('resumeFrom', 'none with output', 'one', 'A run with a folder goes on from its own checkpoints.');
  checkOptions({
    ...options,
    quantization: model.training.quantization?.type,
    initAdapter: given.initAdapter === undefined ? undefined : 'given',
  });
}

function wrongOption(name: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'lowrank.option', what: `the option ${name}`, expected, got, remedy, setting: name });
}
