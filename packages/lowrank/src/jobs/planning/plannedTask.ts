import { LowrankError } from '@lowrank/errors';
import { findFamily } from '@lowrank/models';
import type { RandomState } from '@lowrank/tensor';
import type { LossFunction } from '@lowrank/trainer';
import { layOutStep, slotsOf, taskLoss } from '../../front/taskRun.js';
import { namesIn, unnamed } from '../../tasks/labels.js';
import type { Task, TaskName } from '../../tasks/task.js';
import type { TaskMicroBatch } from '../../tasks/taskLayout.js';
import { unitOf } from '../../tasks/taskLayout.js';
import { taskNamed, taskOfClass } from '../../tasks/tasks.js';
import { asTraining } from '../openModel.js';
import type { OpenTask } from '../openTask.js';
import { requireTask } from '../openTask.js';

/**
 * The task of a plan, by the option or by what the config's class is for, with as many labels as are asked for or named
 * in the config; undefined for a model that writes text.
 *
 * @throws LowrankError `tasks.needed` for an encoder without one, `cli.conflict` for a task without plans
 */
export function taskOfPlan(
  { task: asked, numLabels }: { readonly task?: TaskName | undefined; readonly numLabels?: number | undefined },
  { name, config }: { readonly name: string; readonly config: Readonly<Record<string, unknown>> },
): Pick<OpenTask, 'task' | 'labels'> | undefined {
  const task = asked === undefined ? classTask(config) : taskNamed(asked);
  if (task === undefined && findFamily(config['model_type'])?.isEncoder !== true) return undefined;
  const needed = requireTask(task, name);
  if (needed.outline === undefined) throw notPlanned(needed);
  const names = numLabels === undefined ? (namesIn(config) ?? unnamed(2)) : unnamed(numLabels);
  return { task: needed, labels: { names, problem: 'single_label_classification' } };
}

/** Whether a checkpoint of this config has the head of the task, so that it lies on the device with all else. */
export function storesHead(
  config: Readonly<Record<string, unknown>>,
  { task, labels }: Pick<OpenTask, 'task' | 'labels'>,
): boolean {
  return classTask(config)?.name === task.name && (namesIn(config)?.length ?? 2) === labels.names.length;
}

/** What the config's class is for. */
function classTask(config: Readonly<Record<string, unknown>>): Task | undefined {
  const architectures = Array.isArray(config['architectures']) ? (config['architectures'] as unknown[]) : [];
  return architectures.map(taskOfClass).find((each) => each !== undefined);
}

interface PlannedStep {
  readonly batchSize: number;
  readonly gradientAccumulation: number;
  readonly maxLength: number;
  readonly packing: boolean;
}

/** The micro-batches of a step over rows of the greatest length, and their loss, as `lowrank train` has them. */
export function plannedTask(
  { batchSize, gradientAccumulation, maxLength, packing }: PlannedStep,
  open: Pick<OpenTask, 'task' | 'labels' | 'module'>,
  random: RandomState,
): { readonly microBatches: readonly TaskMicroBatch[]; readonly loss: LossFunction<string> } {
  const { task } = open;
  if (task.outline === undefined) throw notPlanned(task);
  const documents = task.outline(maxLength, open.module.shape);
  const units = Array.from({ length: batchSize * gradientAccumulation }, (_, row) =>
    unitOf(documents, { line: row + 1, row }),
  );
  const loss = taskLoss(open);
  return {
    microBatches: layOutStep(open, units, { batchSize, packing, slots: slotsOf(units, batchSize) }),
    loss: (inputs) => asTraining(random, undefined, () => loss(inputs)),
  };
}

function notPlanned({ name }: Task): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => `a plan with ${names('task', name)}`,
    expected: 'a task whose batches are planned',
    got: name,
    setting: 'task',
  });
}
