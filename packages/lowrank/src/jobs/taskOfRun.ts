import { LowrankError } from '@lowrank/errors';
import type { RowSource, RowSelection } from '@lowrank/data';
import { isGiven } from '@lowrank/settings';
import type { ObjectiveName } from '@lowrank/trainer';
import { readTaskRows, taskRecords } from '../tasks/taskRows.js';
import type { ProblemType } from '../tasks/labels.js';
import { labelsOfTrained } from '../tasks/labels.js';
import type { TaskName, TaskRow } from '../tasks/task.js';
import type { OpenTask } from './openTask.js';
import { knownTask, taskOf } from './openTask.js';

export interface TaskOfRunOptions extends Pick<RowSelection, 'columns' | 'split' | 'sampleBy'> {
  readonly model: string;
  readonly data: RowSource;
  readonly task?: TaskName | undefined;
  readonly problemType?: ProblemType | undefined;
  readonly initAdapter?: string | undefined;
  readonly loss?: ObjectiveName | undefined;
  readonly addTokens?: readonly string[] | undefined;
  readonly groupByLength?: boolean | undefined;
}

/** A task, the labels that it tells apart, and the rows that say so: they are read once. */
export interface TaskOfRun extends Pick<OpenTask, 'task' | 'labels'> {
  readonly rows: readonly TaskRow[];
}

/** The task of a run and what its rows are labelled with; undefined for a run that learns to write text. */
export async function taskOfRun(options: TaskOfRunOptions): Promise<TaskOfRun | undefined> {
  const { model, initAdapter: adapter } = options;
  const known = await knownTask({ model, adapter, task: options.task });
  if (known.task === undefined && !known.isEncoder) return undefined;
  checkTaskOptions(options);
  const records = await taskRecords(options.data, options);
  const task = taskOf(known, records);
  if (task === undefined) return undefined;
  const rows = readTaskRows(task, records);
  const ofRows = task.labels(rows, known.labels, options.problemType);
  // What has been learned has its columns.
  const labels =
    adapter === undefined || known.labels === undefined
      ? ofRows
      : labelsOfTrained(known.labels, ofRows, options.problemType);
  return { task, labels, rows };
}

/** Refuses what only texts that are written have. @throws LowrankError `cli.conflict` */
export function checkTaskOptions(options: object): void {
  const given = options as Readonly<Record<string, unknown>>;
  const refused = ['loss', 'addTokens', 'groupByLength', 'completionAfter', 'template'] as const;
  const name = refused.find((each) => isGiven(given[each]) && !(each === 'loss' && given[each] === 'sft'));
  if (name === undefined) return;
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names(name)} with ${names('task')}`,
    expected: 'one of the two',
    got: 'both',
    remedy: 'Tasks have losses of their own, and their rows are no texts to be written.',
    setting: name,
  });
}
