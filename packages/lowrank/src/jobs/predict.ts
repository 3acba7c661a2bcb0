import type { RecordRow } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Prediction } from '../tasks/task.js';
import { readTaskRows, taskRecords } from '../tasks/taskRows.js';
import type { EvaluateTaskOptions } from './evaluateTask.js';
import { answer } from './evaluateTask.js';
import { withFolders } from './folders.js';
import { knownTask, requireTask, taskOf } from './openTask.js';

/** Options of `predictFolder`: the model, its adapter, and what is asked of it. */
export interface PredictOptions extends Omit<EvaluateTaskOptions, 'data' | 'validation'> {
  /** Rows, which need no labels. */
  readonly data?: string | undefined;
  /** Texts in their place. */
  readonly texts?: readonly string[] | undefined;
}

/** What a model with the head of a task says of texts or of a file of rows. */
export async function predictFolder(given: PredictOptions): Promise<Prediction[]> {
  const options = await withFolders(given, given);
  const known = await knownTask(options);
  const records = await recordsToAsk(options);
  const task = requireTask(taskOf(known, records), options.model);
  const rows = readTaskRows(task, records, true);
  const labels = known.labels ?? task.labels(rows, undefined, options.problemType);
  return (await answer({ task, labels, rows }, { ...options, withLoss: false })).predictions;
}

async function recordsToAsk({ data, texts = [], ...options }: PredictOptions): Promise<RecordRow[]> {
  if ((data === undefined) === (texts.length === 0))
    throw new LowrankError({
      code: 'cli.conflict',
      what: (names) => `${names('data')} and texts`,
      expected: 'one of the two',
      got: data === undefined ? 'neither' : 'both',
      setting: 'data',
    });
  if (data !== undefined) return taskRecords(data, options);
  return texts.map((text, at) => ({ values: { text }, line: at + 1, name: 'the command line' }));
}
