import type { RowSource } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { MethodFiles, MethodName } from '@lowrank/methods';
import { methodNames } from '@lowrank/methods';
import type { StepEvent } from '@lowrank/trainer';
import { checkOptions, checkValues } from '../settings/checkOptions.js';
import { filesToSave } from '../saveFolder.js';
import type { CheckpointOptions, CommonOptions, MethodOptions } from '../settings/methodTables.js';
import { checkpointSettings } from '../settings/runSettings.js';
import type { Model } from './model.js';
import type { ModelSource } from './modelSource.js';
import { findFiles } from './modelSource.js';
import { Run } from './run.js';
import type { RunState } from './runState.js';
import type { RunEvent } from './runOptions.js';
import { runTraining } from './runTraining.js';

/** What {@link loadModel} decides once for all runs. */
type DecidedByModel = 'quantization' | 'doubleQuantization' | 'template' | 'initAdapter';

/**
 * Options of {@link fineTune}: those of the method and of the training, as declared in their tables (`r`, `alpha`,
 * `targetModules`, `steps`, `batchSize`, `learningRate`, …), and what the run is about.
 */
export interface FineTuneOptions
  extends Omit<MethodOptions & CommonOptions, DecidedByModel>, Omit<CheckpointOptions, 'keepLast'> {
  /** JSON lines: a path (Node), an address, a File or Blob, pieces of text; or the rows as objects. */
  readonly data: RowSource;
  /** Rows whose loss is computed at the end, every `evaluateEvery`, and by {@link Run.evaluate}. */
  readonly evalData?: RowSource | undefined;
  /** How to fine-tune; default `lora`. */
  readonly method?: MethodName | undefined;
  /** What the adapter's files say that it is for. Default: the model's source. */
  readonly baseModel?: string | undefined;
  /** An adapter to go on from. */
  readonly initAdapter?: ModelSource | undefined;
  /**
   * The state of a run to go on from, over the same rows and with the same options: the next steps are as they were.
   */
  readonly resumeFrom?: RunState | undefined;
  /**
   * Gets the state every `saveEvery` steps, at a lowest evaluation, and when stopped. Its tensors are read before the
   * promise resolves; `holdState` keeps them.
   */
  readonly onCheckpoint?: ((state: RunState) => unknown) | undefined;
  /** Something between two steps, with the weights of exactly that step. */
  readonly betweenSteps?: BetweenFineTuneSteps | undefined;
  /** Each optimizer step, once its numbers have arrived. Training waits for the promise that it may return. */
  readonly onStep?: ((step: StepEvent) => unknown) | undefined;
  /** Every event: the start, each step, warnings, the evaluation. */
  readonly onEvent?: ((event: RunEvent) => unknown) | undefined;
  /** Ends the training as {@link FineTuning.stop} does. */
  readonly signal?: AbortSignal | undefined;
}

/** See {@link FineTuneOptions.betweenSteps}. */
export interface BetweenFineTuneSteps {
  /** After every so many steps; or whether after this one. */
  readonly every: number | ((step: number) => boolean);
  /** Training waits for the promise that it may return. */
  run(at: StepWeights): unknown;
}

/** What was learned by a step. */
export interface StepWeights {
  readonly step: number;
  /** Of the step. */
  readonly loss: number;
  /** The files of what was learned by then, as {@link Run.files}. */
  readonly files: () => Promise<MethodFiles>;
}

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
 * @throws LowrankError `cli.option` for an option that does not exist (naming the nearest that does), the tables' codes
 * for a wrong value, `cli.conflict` for two that exclude each other; what the data, the method and the training throw
 */
export function fineTune(model: Model, options: FineTuneOptions): FineTuning {
  const controller = new AbortController();
  const signals = [controller.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const finished = start(model, options, AbortSignal.any(signals));
  return Object.assign(finished, { stop: () => controller.abort() });
}

async function start(model: Model, given: FineTuneOptions, signal: AbortSignal): Promise<Run> {
  checkGiven(model, given);
  const { onStep, onEvent, onCheckpoint, betweenSteps, resumeFrom, initAdapter, ...options } = given;
  const adapter = initAdapter === undefined ? undefined : (await findFiles(initAdapter, 'adapter')).files;
  // What was compiled for writing holds the weights as they were.
  await model.releasePlans();
  const origin = (): Parameters<typeof filesToSave>[2] => ({
    ...model.training.open,
    tokenizer: model.tokenizerFiles,
  });
  const finished = await runTraining(
    model.training,
    { ...options, resume: resumeFrom, initAdapter: adapter, baseModel: options.baseModel ?? model.name, signal },
    {
      checkpoint: onCheckpoint && (async (state) => (await onCheckpoint(state), `step ${state.step}`)),
      betweenSteps: betweenSteps && {
        every: betweenSteps.every,
        run: ({ method, applied }, { step, loss }) =>
          betweenSteps.run({ step, loss, files: () => filesToSave(method, applied, origin()) }),
      },
      async onEvent(event) {
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
const decided: readonly string[] = ['quantization', 'doubleQuantization', 'template'] satisfies DecidedByModel[];

/** @throws LowrankError `lowrank.option`, `cli.option`, `cli.conflict` */
function checkGiven(model: Model, given: FineTuneOptions): void {
  const { method = 'lora' } = given;
  if (!methodNames.includes(method)) throw wrongOption('method', methodNames.join(', '), String(method));
  if (given.data === undefined)
    throw wrongOption('data', 'rows to train on', 'nothing', "For example: data: 'rows.jsonl'");
  const options: Readonly<Record<string, unknown>> = { ...given };
  const late = decided.find((name) => options[name] !== undefined);
  if (late !== undefined)
    throw wrongOption(late, 'none here', 'one', `Give it to loadModel: loadModel(source, { ${late} }).`);
  checkValues(options, own, [checkpointSettings]);
  checkOptions({
    ...options,
    quantization: model.training.quantization?.type,
    initAdapter: given.initAdapter === undefined ? undefined : 'given',
  });
}

function wrongOption(name: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'lowrank.option', what: `the option ${name}`, expected, got, remedy, setting: name });
}
