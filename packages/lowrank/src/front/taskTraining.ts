import { LowrankError } from '@lowrank/errors';
import type { RowSource } from '@lowrank/data';
import type { Evaluation } from '@lowrank/trainer';
import { checkTaskOptions } from '../jobs/taskOfRun.js';
import { readTaskRows, taskRecords } from '../tasks/taskRows.js';
import type { FineTuneOptions } from './fineTuneOptions.js';
import type { TaskedModel } from './taskedModel.js';
import type { TaskTraining } from './taskRun.js';

/**
 * A model with the head of a task, and the rows that it is to learn.
 *
 * @throws LowrankError `cli.conflict` for what only texts that are written have; `lowrank.option` for a run's folder;
 * `tasks.label` for labels that the model was not loaded with; what the task throws for its rows
 */
export async function taskTraining(model: TaskedModel, given: FineTuneOptions): Promise<TaskTraining> {
  checkTaskOptions(given);
  if (given.output !== undefined)
    throw new LowrankError({
      code: 'lowrank.option',
      what: 'the option output for a model with a head',
      expected: 'none',
      got: 'one',
      remedy: 'Save what was learned: run.save(folder). fineTuneFolder of lowrank/node has runs with a folder.',
      setting: 'output',
    });
  const { training } = model;
  const { task, labels } = training.open;
  const rows = readTaskRows(task, await taskRecords(given.data, given));
  const { names, problem } = task.labels(rows, labels, labels.problem);
  const strange = names.filter((name) => !labels.names.includes(name));
  if (problem !== 'regression' && strange.length > 0)
    throw new LowrankError({
      code: 'tasks.label',
      what: `labels of the rows: ${strange.slice(0, 6).join(', ')}`,
      expected: `the model's: ${labels.names.join(', ')}`,
      got: 'others',
      remedy: `Name all of them when it is loaded: loadModel(source, { task: '${task.name}', labels }).`,
    });
  return { ...training, rows };
}

/** Its evaluation as those of runs are: the scores are measures. */
export function evaluation(model: TaskedModel): (data: RowSource) => Promise<Evaluation> {
  return async (data) => {
    const { loss, scores, rows } = await model.evaluate(data);
    return { loss, tokens: rows, rows, measures: scores };
  };
}
