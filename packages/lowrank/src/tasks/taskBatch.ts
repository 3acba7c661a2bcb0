import type { TaskBatch } from '@lowrank/models';
import type { TaskInputs } from './task.js';

/** The part of a batch's inputs that the model reads. */
export function taskBatchOf(inputs: TaskInputs): TaskBatch {
  const { ids, positions, segments, types, at, documents, slots, pixels } = inputs;
  if (ids === undefined || positions === undefined || segments === undefined)
    throw new TypeError('a batch without ids');
  return { ids, positions, segments, types, at, documents, slots, pixels };
}
