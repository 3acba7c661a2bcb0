import { LowrankError } from '@lowrank/errors';
import { methodNames } from '@lowrank/methods';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import { checkpointSettings, continueSettings, outputSettings } from '../settings/runSettings.js';
import type { DecidedByModel, FineTuneOptions, TrainingWay } from './fineTuneOptions.js';
import type { Model } from './model.js';
import { findFiles } from './modelSource.js';
import { originFilesToSave } from './originFiles.js';
import { Run } from './run.js';
import type { RunState } from './runState.js';
import { runTraining } from './runTraining.js';

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
 * @throws LowrankError `cli.option` for an option that does not exist (naming the nearest that does), the tables' codes
 * for a wrong value, `cli.conflict` for two that exclude each other; what the data, the method and the training throw;
 * with `output` what claimOutput throws, `run.changed` for other settings than those of the run that goes on,
 * `run.input` for other data or another model, `run.nothingToResume`
 */
export function fineTune(model: Model, options: FineTuneOptions): FineTuning {
  const controller = new AbortController();
  const signals = [controller.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const finished = start(model, options, AbortSignal.any(signals));
  return Object.assign(finished, { stop: () => controller.abort() });
}

async function start(model: Model, given: FineTuneOptions, signal: AbortSignal): Promise<Run> {
  if (given.output !== undefined) {
    const { fineTuneInFolder } = await import('./fineTuneInFolder.js');
    return fineTuneInFolder(model, { ...given, output: given.output }, { check: checkGiven, train: trainWith, signal });
  }
  checkGiven(model, given);
  const { onCheckpoint, resumeFrom } = given;
  const checkpoint = onCheckpoint && (async (state: RunState) => (await onCheckpoint(state), `step ${state.step}`));
  return trainWith(model, given, { resume: resumeFrom, signal, hooks: { checkpoint } });
}

async function trainWith(model: Model, given: FineTuneOptions, { resume, signal, hooks }: TrainingWay): Promise<Run> {
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
const decided: readonly string[] = [
  'quantization',
  'doubleQuantization',
  'quantizeEmbeddings',
  'template',
] satisfies DecidedByModel[];

/** @throws LowrankError `lowrank.option`, `cli.option`, `cli.conflict` */
function checkGiven(model: Model, given: FineTuneOptions): void {
  const { method = 'lora' } = given;
  if (!methodNames.includes(method)) throw wrongOption('method', methodNames.join(', '), String(method));
  if (given.data === undefined)
    throw wrongOption('data', 'rows to train on', 'nothing', "For example: data: 'rows.jsonl'");
  const options: Readonly<Record<string, unknown>> = { ...given };
  if (given.autoBatch === true)
    throw wrongOption('autoBatch', 'none here', 'true', 'fineTuneFolder of lowrank/node does it; or give a batchSize.');
  const ofTask = ['task', 'docStride', 'maxAnswerLength', 'nBest'].find((name) => options[name] !== undefined);
  if (ofTask !== undefined)
    throw wrongOption(ofTask, 'none here', 'one', 'fineTuneFolder of lowrank/node and `lowrank train` train tasks.');
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
