import type { RowSelection } from '@lowrank/data';
import { splitsOf, validationCut } from '@lowrank/data';
import type { Execution } from '@lowrank/trainer';
import type { BackendOrOpener } from '../device.js';
import { backendOnce } from '../device.js';
import { contextOf, cutWarning } from '../front/taskRun.js';
import type { OptionsOf } from '@lowrank/settings';
import type { taskSettings } from '../settings/taskSettings.js';
import { columnOf, labelsOfTrained } from '../tasks/labels.js';
import { confusion } from '../tasks/scores.js';
import type { Prediction, Scores, TaskRow } from '../tasks/task.js';
import { cutTaskRows, partsOfRows, encodeTaskRows, readTaskRows, taskRecords } from '../tasks/taskRows.js';
import { tokenizerOfTask } from '../tasks/noTokenizer.js';
import { predictRows } from '../tasks/runTask.js';
import type { TransferEvents } from './folders.js';
import { withFolders } from './folders.js';
import { loadMethod } from './loadMethod.js';
import type { OpenTask } from './openTask.js';
import { knownTask, openTask, requireTask, taskOf } from './openTask.js';
import type { QuantizationOptions } from './quantization.js';
import { tokenizerFiles } from './tokenizerFiles.js';

export interface EvaluateTaskOptions
  extends TransferEvents, QuantizationOptions, RowSelection, OptionsOf<typeof taskSettings> {
  readonly backend: BackendOrOpener;
  readonly model: string;
  readonly adapter?: string | undefined;
  readonly data: string;
  readonly maxLength?: number | undefined;
  /** Evaluate the rows that `train` holds out of the file with the same value, and no others. */
  readonly validation?: number | undefined;
  readonly execution?: Execution | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (done: number, of: number) => void;
}

/** What `lowrank eval` prints of a task. */
export interface EvaluateTaskResult {
  readonly task: string;
  /** Mean, as training counts it. */
  readonly loss: number;
  readonly scores: Scores;
  readonly rows: number;
  /** Of one label for each text: how often each label (row) was taken for each (column). */
  readonly confusion?: { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
}

/** The task of a model, its adapter or its rows; undefined where it is to write text. */
export async function taskToEvaluate(
  given: Pick<
    EvaluateTaskOptions,
    'model' | 'adapter' | 'data' | 'task' | 'columns' | 'sampleBy' | keyof TransferEvents
  >,
): Promise<boolean> {
  const options = await withFolders(given, given);
  const { task, isEncoder } = await knownTask(options);
  return task !== undefined || isEncoder;
}

/** The loss and the scores of a model folder with a head, with or without an adapter folder, over rows of its task. */
export async function evaluateTask(given: EvaluateTaskOptions): Promise<EvaluateTaskResult> {
  const options = { ...(await withFolders(given, given)), split: given.split ?? (await splitOf(given.data)) };
  const known = await knownTask(options);
  const records = await taskRecords(options.data, options);
  const task = requireTask(taskOf(known, records), options.model);
  const whole = readTaskRows(task, records);
  const all = partsOfRows(whole, options.parts);
  const { validation } = options;
  const rows = validation === undefined ? all : cutTaskRows(all, validationCut(validation)).validation;
  const ofRows = task.labels(whole, known.labels, options.problemType);
  const labels = known.labels === undefined ? ofRows : labelsOfTrained(known.labels, ofRows, options.problemType);
  const answered = await answer({ task, labels, rows }, { ...options, withLoss: true });
  const { predictions, loss } = answered;
  const scores = task.score(rows, predictions, { labels });
  const isPlain =
    (task.kind === 'sequence' || task.kind === 'image') && labels.problem === 'single_label_classification';
  return {
    task: task.name,
    loss,
    scores,
    rows: rows.length,
    ...(isPlain && { confusion: { labels: labels.names, counts: confusionOf(rows, predictions, labels.names) } }),
  };
}

function confusionOf(
  rows: readonly TaskRow[],
  predictions: readonly Prediction[],
  names: readonly string[],
): number[][] {
  const at = (label: unknown): number => columnOf(typeof label === 'number' ? label : String(label), names);
  return confusion(
    rows.map((row) => at('label' in row ? [row.label].flat()[0] : undefined)),
    predictions.map(({ label }) => at(label)),
    names.length,
  );
}

export interface Asked extends Pick<OpenTask, 'task' | 'labels'> {
  readonly rows: readonly TaskRow[];
}

/** Loads a model with the head of a task and an adapter, and asks it for every row. */
export async function answer(
  { task, labels, rows }: Asked,
  options: Omit<EvaluateTaskOptions, 'data'> & { readonly withLoss: boolean },
): Promise<{ readonly predictions: Prediction[]; readonly loss: number }> {
  const { backend: given, signal, withLoss, onProgress, onWarning, adapter } = options;
  const backend = backendOnce(given);
  const tokenizer = await tokenizerOfTask(task, await tokenizerFiles(options.model, adapter));
  for (const text of tokenizer.warnings) onWarning?.(text);
  const open = await openTask(options.model, { task, labels }, { ...options, backend });
  if (adapter !== undefined) await loadMethod(open, adapter, onWarning);
  else if (open.module.fresh.length > 0)
    onWarning?.(`${options.model} has no weights for ${open.module.fresh.join(', ')}: its answers are chance`);
  const context = contextOf({ open, tokenizer }, options, rows);
  const units = await encodeTaskRows(task, rows, context);
  const cut = cutWarning(units, context);
  if (cut !== undefined) onWarning?.(cut);
  return predictRows(open, { rows, units, context }, { backend: await backend(), signal, withLoss, onProgress });
}

/** Of a folder of data the test rows; without those its validation rows. */
async function splitOf(data: string): Promise<EvaluateTaskOptions['split']> {
  const splits = await splitsOf(data);
  return (['test', 'validation'] as const).find((split) => splits.includes(split));
}
