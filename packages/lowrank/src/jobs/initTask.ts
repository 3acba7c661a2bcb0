import { outlineTaskModel } from '@lowrank/models';
import { describeLabels } from '../tasks/labels.js';
import { tokenizerOfTask } from '../tasks/noTokenizer.js';
import { encodeTaskRows } from '../tasks/taskRows.js';
import { modelTexts } from './modelTexts.js';
import { headOf } from './openTask.js';
import { readModelConfig } from './planning/planConfig.js';
import type { PlanOptions } from './planning/plannedRun.js';
import type { TaskOfRun } from './taskOfRun.js';

/** What was seen of a model and of rows, and what follows for a run. */
export interface SeenOfRun {
  readonly rows: number;
  /** The model's family and how much it reads. */
  readonly family: string;
  /** Settings that are chosen for it, by the names of the file. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What is said beside them. */
  readonly facts: Readonly<Record<string, string>>;
  /** What a plan has to know. */
  readonly plan: Pick<PlanOptions, 'task' | 'numLabels' | 'maxLength'> & { readonly batchSize: number };
}

/** Looks at a model and the rows of a task. @throws LowrankError what reading the tokenizer and the rows throws */
export async function seenOfTask(model: string, { task, labels, rows }: TaskOfRun): Promise<SeenOfRun> {
  const { name, config } = await readModelConfig({ model });
  const { shape } = outlineTaskModel(config, headOf({ task, labels }), { name });
  const readsImages = task.kind === 'image';
  const hasLabels = readsImages || task.kind === 'sequence' || task.kind === 'tokens';
  const hasProblem = readsImages || task.kind === 'sequence';
  const lengths = readsImages ? [] : await lengthsOf(model, { task, labels, rows }, shape.maxPositions);
  const max = lengths.at(-1) ?? 1;
  const p95 = lengths[Math.floor(0.95 * (lengths.length - 1))] ?? max;
  const maxLength = readsImages ? undefined : lengthFor({ max, p95 }, shape.maxPositions);
  return {
    rows: rows.length,
    family: readsImages ? shape.modelType : `${shape.modelType}, up to ${shape.maxPositions} tokens`,
    settings: {
      task: task.name,
      ...(hasProblem && { problem_type: labels.problem }),
      ...(maxLength !== undefined && { max_length: maxLength }),
      learning_rate: 1.5e-3,
      warmup: 0.06,
    },
    facts: {
      data: `${rows.length} rows${hasLabels ? `, ${describeLabels(labels)}` : ''}`,
      ...(maxLength !== undefined && {
        max_length:
          `texts of ${lengths[0]} to ${lengths.at(-1)} tokens, of which ` +
          `${lengths.filter((length) => length > maxLength).length} are cut there`,
      }),
      learning_rate: 'encoders take larger ones than models that write',
    },
    plan: { task: task.name, numLabels: labels.names.length, maxLength, batchSize: 16 },
  };
}

/** Tokens of each document of the rows, from the shortest. */
async function lengthsOf(model: string, { task, labels, rows }: TaskOfRun, maxLength: number): Promise<number[]> {
  const tokenizer = await tokenizerOfTask(task, modelTexts(model));
  const units = await encodeTaskRows(task, rows, { tokenizer, labels, maxLength, options: {} });
  return units.flatMap(({ documents }) => documents.map(({ fullLength }) => fullLength)).sort((a, b) => a - b);
}

/** The longest row, unless few are far longer than the others; a multiple of 8. */
export function lengthFor({ max, p95 }: { readonly max: number; readonly p95: number }, maxPositions: number): number {
  const longest = max <= 2 * p95 ? max : p95;
  return Math.min(8 * Math.ceil(longest / 8), maxPositions);
}
