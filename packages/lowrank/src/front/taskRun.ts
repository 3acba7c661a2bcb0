import type { SamplerState } from '@lowrank/data';
import { batches, memoryRows, validationCut } from '@lowrank/data';
import type { LossFunction } from '@lowrank/trainer';
import { LowrankError } from '@lowrank/errors';
import type { MeasureRun } from '../jobs/metricsOfRun.js';
import { checkMetrics, measureName } from '../jobs/metricsOfRun.js';
import { asTraining } from '../jobs/openModel.js';
import type { OpenTask } from '../jobs/openTask.js';
import { describeLabels, oneLabelWarning, wholeNumbersWarning } from '../tasks/labels.js';
import type { AskedRows } from '../tasks/runTask.js';
import { predictRows } from '../tasks/runTask.js';
import { scoreNames } from '../tasks/task.js';
import type { TaskContext, TaskRow, TaskUnit } from '../tasks/task.js';
import { taskBatchOf } from '../tasks/taskBatch.js';
import type { TaskMicroBatch } from '../tasks/taskLayout.js';
import { chunked, countOf, fetched, layOutTask } from '../tasks/taskLayout.js';
import { cutTaskRows, partsOfRows, encodeTaskRows, readTaskRows, taskRecords } from '../tasks/taskRows.js';
import { evaluationSource } from './readRows.js';
import type { RunHooks, RunOptions, TrainingModel } from './runOptions.js';
import type { RunData } from './textRun.js';
import { bothGiven } from './textRun.js';

/** A model with a head, what its texts need, and the rows of the run's data. */
export type TaskTraining = Omit<TrainingModel, 'open'> & { readonly open: OpenTask; readonly rows: readonly TaskRow[] };

/** Prepared images of a run that are held in memory unless `dataMemory` says otherwise. */
const heldMegabytes = 1024;

/** Positions of one packed micro-batch, and of one that is evaluated. */
const mostPacked = 4096;
const mostEvaluated = 2048;

/**
 * Makes units of the rows of a task that a run learns from.
 *
 * @throws LowrankError `cli.conflict` for rows held out beside rows of their own; what the task throws for its rows
 */
export async function readTaskRun(model: TaskTraining, options: RunOptions, hooks: RunHooks): Promise<RunData> {
  const { batchSize = 8, gradientAccumulation = 1, packing = true, shuffle, seed, validation, resume } = options;
  if (validation !== undefined && options.evalData !== undefined) throw bothGiven();
  const { open } = model;
  const all = partsOfRows(model.rows, options.parts);
  const cut = validation === undefined ? undefined : cutTaskRows(all, validationCut(validation));
  const context = { ...contextOf(model, options), heldBytes: (options.dataMemory ?? heldMegabytes) * 2 ** 20 };
  const units = await readUnits(model, { rows: cut?.train ?? all, part: 'train', context, hooks });
  if (open.task.kind === 'embedding' && batchSize === 1)
    await hooks.onEvent?.({
      type: 'warning',
      text: 'a micro-batch of one pair has no other partner to tell it from: nothing is learned',
    });
  const slots = slotsOf(units, batchSize);
  const sampled = (state?: SamplerState): SampledBatches => {
    const size = batchSize * gradientAccumulation;
    const drawn = batches(units, { batchSize: size, shuffle, seed, state, layout: (step) => step as TaskUnit[] });
    return {
      async next() {
        const step = await fetched(open.task, drawn.next().value);
        return { done: false, value: layOutStep(open, step, { batchSize, packing, slots }) };
      },
      get state() {
        return drawn.state;
      },
    };
  };
  const loss = taskLoss(open);
  return {
    documents: memoryRows({ rows: units }),
    known: units,
    stepsPerEpoch: units.length / (batchSize * gradientAccumulation),
    async layOut(steps) {
      const held = cut?.validation ?? (await evaluationRows(model, options));
      const heldUnits = held && (await readUnits(model, { rows: held, part: 'validation', context, hooks }));
      return {
        batches: sampled(resume?.data as SamplerState | undefined),
        // Images are of one size.
        largest: await largest(sampled(), open.module.head.reads === 'images' ? 1 : steps),
        evaluation: heldUnits && evaluationOf(open, heldUnits),
        measured: heldUnits && measuredBy(open, options, { rows: held, units: heldUnits, context }),
        loss: (random) =>
          random === undefined
            ? loss
            : (inputs) => asTraining(random, { neftuneAlpha: options.neftuneAlpha }, () => loss(inputs)),
      };
    },
    close: () => Promise.resolve(),
  };
}

/** Batches without end, and where they stand. */
interface SampledBatches extends AsyncIterator<TaskMicroBatch[]> {
  next(): Promise<{ readonly done: false; readonly value: TaskMicroBatch[] }>;
  readonly state: SamplerState;
}

/** Documents that a micro-batch of so many rows has room for. */
export function slotsOf(units: readonly TaskUnit[], batchSize: number): number {
  return batchSize * Math.max(...units.map(({ documents }) => documents.length));
}

/** The micro-batches of a step. */
export function layOutStep(
  { task, labels, module, images }: Pick<OpenTask, 'task' | 'labels' | 'module' | 'images'>,
  step: readonly TaskUnit[],
  given: { readonly batchSize: number; readonly packing: boolean; readonly slots: number },
): TaskMicroBatch[] {
  const { batchSize, slots } = given;
  // Each image is a sequence of its own, with a slot for each row.
  const packing = given.packing && module.head.reads !== 'images';
  const chunks = (part: readonly TaskUnit[]): readonly (readonly TaskUnit[])[] => {
    // A pair is told from all others of its micro-batch: not from itself, where the batch has more than the data.
    if (task.kind === 'embedding') return [[...new Set(part)]];
    return packing ? chunked(part, Math.max(mostPacked, ...part.map(({ ids }) => ids.length))) : [part];
  };
  return groups(step, batchSize)
    .flatMap(chunks)
    .map((chunk) => layOutTask(chunk, { task, labels, model: module, packed: packing, slots, images }));
}

/** The loss of a batch of a task, as training counts it. */
export function taskLoss({ task, labels, module }: Pick<OpenTask, 'task' | 'labels' | 'module'>): LossFunction<string> {
  return (inputs) => task.loss(module, taskBatchOf(inputs), inputs, labels);
}

async function evaluationRows({ open }: TaskTraining, options: RunOptions): Promise<TaskRow[] | undefined> {
  const apart = await evaluationSource(options);
  return apart && readTaskRows(open.task, await taskRecords(apart.source, apart.options));
}

/** Scores on every row of the evaluation beside the loss. @throws LowrankError `cli.conflict` for other metrics */
function measuredBy(
  open: OpenTask,
  { evaluationMetrics: metrics = [], evaluationPrompts: prompts }: RunOptions,
  asked: AskedRows,
): MeasureRun | undefined {
  const { task, labels } = open;
  checkMetrics(metrics, { known: ['loss', ...scoreNames(task, labels)], of: task.title });
  if (prompts !== undefined) throw allRows(prompts);
  const scored = metrics.filter((name) => name !== 'loss').map(measureName);
  if (scored.length === 0) return undefined;
  return async ({ backend }, signal) => {
    const { predictions } = await predictRows(open, asked, { backend, signal });
    if (signal?.aborted === true) return undefined;
    const scores = task.score(asked.rows, predictions, { labels });
    return Object.fromEntries(scored.map((name) => [name, scores[name] ?? NaN]));
  };
}

function allRows(prompts: number): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('evaluationPrompts', String(prompts))} with rows of a task`,
    expected: 'scores over all rows of the evaluation',
    got: 'a number of prompts',
    setting: 'evaluationPrompts',
  });
}

/** @param rows that are asked, for what is not said of options */
export function contextOf(
  { open, tokenizer }: Pick<TaskTraining, 'open' | 'tokenizer'>,
  given: Pick<RunOptions, 'maxLength'> & TaskContext['options'],
  rows: readonly TaskRow[] = [],
): TaskContext {
  const { contextLength, labels, images, task } = open;
  const maxLength = Math.min(given.maxLength ?? contextLength, contextLength);
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  const options: TaskContext['options'] = { ...task.optionsOf?.(rows), ...Object.fromEntries(said) };
  return { tokenizer, images, labels, maxLength, options };
}

async function readUnits(
  { open }: TaskTraining,
  {
    rows,
    part,
    context,
    hooks,
  }: {
    readonly rows: readonly TaskRow[];
    readonly part: 'train' | 'validation';
    readonly context: TaskContext;
    readonly hooks: RunHooks;
  },
): Promise<TaskUnit[]> {
  const units = await encodeTaskRows(open.task, rows, context);
  const tokens = units.reduce((sum, { ids }) => sum + ids.length, 0);
  if (units.length === 0)
    throw new LowrankError({ code: 'data.empty', what: 'the data', expected: 'at least one row', got: 'none' });
  const { name, title, kind } = open.task;
  await hooks.onEvent?.({
    type: 'data',
    part,
    name,
    forms: kind === 'sequence' || kind === 'tokens' ? `${title}, ${describeLabels(open.labels)}` : title,
    rows: rows.length,
    tokens,
    labelTokens: rows.length,
  });
  const ofLabels = [kind === 'sequence' ? wholeNumbersWarning(open.labels) : undefined, oneLabelWarning(open.labels)];
  for (const said of [...(part === 'train' ? ofLabels : []), cutWarning(units, context)])
    if (said !== undefined) await hooks.onEvent?.({ type: 'warning', text: said });
  return units;
}

/** What is to be said of texts that are too long; undefined where there is none. */
export function cutWarning(units: readonly TaskUnit[], { maxLength }: TaskContext): string | undefined {
  const cut = units.filter(({ fullLength, ids }) => fullLength > ids.length).length;
  return cut === 0 ? undefined : `${cut} of ${units.length} texts are cut to ${maxLength} tokens`;
}

/** Every document once, packed; each batch read and laid out in its turn. */
function evaluationOf(
  { task, labels, module, images }: OpenTask,
  units: readonly TaskUnit[],
): AsyncIterable<TaskMicroBatch> {
  const chunks = chunked(units, mostEvaluated);
  const slots = Math.max(...chunks.map(countOf));
  return {
    async *[Symbol.asyncIterator]() {
      for (const chunk of chunks)
        yield layOutTask(await fetched(task, chunk), { task, labels, model: module, packed: true, slots, images });
    },
  };
}

/** The step that holds the largest micro-batch, among those that are looked at ahead. */
async function largest(all: SampledBatches, steps: number): Promise<TaskMicroBatch[]> {
  let found: TaskMicroBatch[] = [];
  const sizeOf = (step: readonly TaskMicroBatch[]): number => Math.max(0, ...step.map(({ size }) => size));
  for (let step = 0; step < Math.min(steps, 2000); step++) {
    const { value } = await all.next();
    if (sizeOf(value) > sizeOf(found)) found = value;
  }
  return found;
}

function groups<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, at) => values.slice(at * size, (at + 1) * size));
}
