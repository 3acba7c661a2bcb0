import { LowrankError } from '@lowrank/errors';
import { featureExtraction } from './featureExtraction.js';
import { questionAnswering } from './questionAnswering.js';
import { imageClassification } from './imageClassification.js';
import type { Task, TaskName } from './task.js';
import { textClassification } from './textClassification.js';
import { tokenClassification } from './tokenClassification.js';

/** Every task by its name. */
const tasks: Readonly<Record<TaskName, Task>> = {
  'text-classification': textClassification as unknown as Task,
  'token-classification': tokenClassification as unknown as Task,
  'question-answering': questionAnswering as unknown as Task,
  'feature-extraction': featureExtraction as unknown as Task,
  'image-classification': imageClassification as unknown as Task,
};

export function taskNamed(name: TaskName): Task {
  return tasks[name];
}

const all = Object.values(tasks);

/** The task that a class of transformers or a task type of PEFT is made for. */
export function taskOfClass(architecture: unknown): Task | undefined {
  const name = String(architecture);
  return all.find(({ kind }) => name.endsWith(classOf[kind]));
}

const classOf = {
  sequence: 'ForSequenceClassification',
  tokens: 'ForTokenClassification',
  span: 'ForQuestionAnswering',
  embedding: 'ForFeatureExtraction',
  image: 'ForImageClassification',
} as const;

/** The task that rows of these keys are for. */
export function taskOfRow(values: Readonly<Record<string, unknown>>): Task | undefined {
  return all.find((task) => task.matches(values));
}

/** What is said of rows that no task knows; `values` are those of the first. */
export function unknownTask(where: string, values: Readonly<Record<string, unknown>> = {}): LowrankError {
  const keys = Object.keys(values).map((key) => JSON.stringify(key));
  return new LowrankError({
    code: 'tasks.unknown',
    what: where,
    expected: `rows of a task: ${all.map(({ name, rows }) => `${name} ${rows}`).join('; ')}`,
    got: keys.length === 0 ? 'none' : keys.slice(0, 12).join(', '),
    remedy: (names) =>
      `Say which task it is, ${names('task')}, and which columns hold what, ${names('columns', 'text=review')}.`,
    setting: 'task',
  });
}
