import type { RowSource, TextTokenizer } from '@lowrank/data';
import { LowrankError, shown } from '@lowrank/errors';
import { readMethod } from '@lowrank/methods';
import type { ModelFiles, TaskModel } from '@lowrank/models';
import { loadTaskModel } from '@lowrank/models';
import type { QuantizationSettings } from '@lowrank/quant';
import type { Backend } from '@lowrank/tensor';
import { openAdapterFolder } from '../adapterFolder.js';
import type { OpenTask } from '../jobs/openTask.js';
import { asOpenTask, headOf, knownTask, requireTask } from '../jobs/openTask.js';
import type { Labels, ProblemType } from '../tasks/labels.js';
import { checkProblem, problems, unnamed } from '../tasks/labels.js';
import { imageInput } from '../tasks/imageInput.js';
import { tokenizerOfTask } from '../tasks/noTokenizer.js';
import { predictRows } from '../tasks/runTask.js';
import type { Prediction, Scores, TaskName, TaskRow } from '../tasks/task.js';
import { taskNames } from '../tasks/task.js';
import { encodeTaskRows, readTaskRows, taskRecords } from '../tasks/taskRows.js';
import type { LoadProgress } from './loadingReporter.js';
import { loadingReporter } from './loadingReporter.js';
import { asTextFiles } from './modelSource.js';
import type { TaskTraining } from './taskRun.js';
import { contextOf } from './taskRun.js';

/** What {@link TaskedModel.evaluate} finds. */
export interface TaskEvaluation {
  /** Mean, as training counts it. */
  readonly loss: number;
  /** By name: `accuracy`, `f1` and so on. */
  readonly scores: Scores;
  readonly rows: number;
}

/** A model with the head of a task on a device, with its tokenizer. `loadModel` with a `task` makes it. */
export class TaskedModel {
  readonly tokenizer: TextTokenizer;
  readonly backend: Backend;
  readonly #open: OpenTask;
  readonly #ownsBackend: boolean;
  readonly #quantization: QuantizationSettings | undefined;
  /** The tokenizer stays the model's own. */
  readonly tokenizerFiles = undefined;

  constructor({ open, tokenizer, backend, ownsBackend, quantization }: TaskedParts) {
    this.#quantization = quantization;
    this.#open = open;
    this.tokenizer = tokenizer;
    this.backend = backend;
    this.#ownsBackend = ownsBackend;
  }

  /** The source as it was given: a folder, a hub id, a URL. */
  get name(): string {
    return this.#open.folder;
  }

  get task(): TaskName {
    return this.#open.task.name;
  }

  /** The names of the labels, in the order of the logits. */
  get labels(): readonly string[] {
    return this.#open.labels.names;
  }

  /** The module tree. */
  get network(): TaskModel {
    return this.#open.module;
  }

  /**
   * What the model says of texts, or of rows of its task, which need no labels: labels with probabilities, tags,
   * answers, or embeddings, as `lowrank predict` prints them.
   *
   * @throws LowrankError for rows that the task does not take
   */
  async predict(asked: string | readonly string[] | readonly object[]): Promise<Prediction[]> {
    const rows = (typeof asked === 'string' ? [asked] : asked).map((row: string | object) =>
      typeof row === 'string' ? { text: row } : row,
    );
    const records = await taskRecords(rows);
    return (await this.#answer(readTaskRows(this.#open.task, records, true), false)).predictions;
  }

  /** The mean loss and the scores over rows. @throws LowrankError what reading the rows throws */
  async evaluate(data: RowSource): Promise<TaskEvaluation> {
    const { task, labels } = this.#open;
    const rows = readTaskRows(task, await taskRecords(data));
    const { predictions, loss } = await this.#answer(rows, true);
    return { loss, scores: task.score(rows, predictions, { labels }), rows: rows.length };
  }

  /** What training takes of this model, beside its rows. */
  get training(): Omit<TaskTraining, 'rows'> {
    const { tokenizer, backend } = this;
    return {
      open: this.#open,
      tokenizer,
      chatTemplate: () => Promise.resolve(undefined),
      backend: () => Promise.resolve(backend),
      quantization: this.#quantization,
    };
  }

  /** Frees the model, and the device where `loadModel` opened it. */
  dispose(): void {
    this.network.dispose();
    if (this.#ownsBackend) this.backend.dispose();
  }

  async #answer(rows: readonly TaskRow[], withLoss: boolean): Promise<{ predictions: Prediction[]; loss: number }> {
    const open = this.#open;
    const context = contextOf({ open, tokenizer: this.tokenizer }, {}, rows);
    const units = await encodeTaskRows(open.task, rows, context);
    return predictRows(open, { rows, units, context }, { backend: this.backend, withLoss });
  }
}

interface TaskedParts {
  readonly open: OpenTask;
  readonly tokenizer: TextTokenizer;
  readonly backend: Backend;
  readonly ownsBackend: boolean;
  readonly quantization: QuantizationSettings | undefined;
}

export interface TaskedModelOptions {
  readonly task: TaskName;
  /** Names of the labels, where neither the model nor the adapter says them. */
  readonly labels?: readonly string[] | undefined;
  /** How they are understood, where neither says it. */
  readonly problemType?: ProblemType | undefined;
  /** What was learned for the task. */
  readonly adapter?: ModelFiles | undefined;
  readonly backend: Backend;
  readonly ownsBackend: boolean;
  readonly quantization?: QuantizationSettings | undefined;
  readonly quantizeEmbeddings?: boolean | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly onProgress?: ((event: LoadProgress) => void) | undefined;
}

/** Loads a model's files with the head of a task, and an adapter into it. */
export async function loadTaskedModel(
  { name, files }: { readonly name: string; readonly files: ModelFiles },
  options: TaskedModelOptions,
): Promise<TaskedModel> {
  const { adapter, backend, ownsBackend, quantization, quantizeEmbeddings, onWarning, onProgress } = options;
  checkNames(options);
  const known = await knownTask({ model: files, adapter, task: options.task });
  const task = requireTask(known.task, name);
  const labels = labelsOf(options, known.labels, adapter !== undefined) ?? task.labels([], undefined);
  const tokenizer = await tokenizerOfTask(task, asTextFiles(files));
  for (const text of tokenizer.warnings) onWarning?.(text);
  const module = await loadTaskModel(files, headOf({ task, labels }), {
    quantization,
    quantizeEmbeddings,
    onWarning,
    backend: () => Promise.resolve(backend),
    onProgress: loadingReporter(onProgress),
  });
  if (adapter !== undefined) {
    const { method, stored } = await readMethod(await openAdapterFolder(adapter), { onWarning });
    await (await method.attach(module, stored, { onWarning })).fold?.();
  } else if (module.fresh.length > 0)
    onWarning?.(`${name} has no weights for ${module.fresh.join(', ')}: its answers are chance`);
  const open = asOpenTask(name, module, { task, labels, files, images: await imageInput(module, files) });
  return new TaskedModel({ open, tokenizer, backend, ownsBackend, quantization });
}

/** @throws LowrankError `lowrank.option` for words that are none of those, and labels that name no columns */
function checkNames({ task, problemType, labels }: TaskedModelOptions): void {
  const refuse = (option: string, expected: string, got: unknown): never => {
    throw new LowrankError({ code: 'lowrank.option', what: `the option ${option}`, expected, got: shown(got) });
  };
  if (!taskNames.includes(task)) refuse('task', taskNames.join(', '), task);
  if (problemType !== undefined && !problems.includes(problemType))
    refuse('problemType', problems.join(', '), problemType);
  if (labels !== undefined && (labels.length === 0 || new Set(labels).size < labels.length))
    refuse('labels', 'a name for each label, no two alike', labels);
}

/**
 * What the head's columns mean: what is asked for, as far as it does not contradict what was learned.
 *
 * @throws LowrankError `tasks.label` for more or fewer names than an adapter has columns; `tasks.problem`
 */
function labelsOf(
  { labels: names, problemType }: Pick<TaskedModelOptions, 'labels' | 'problemType'>,
  known: Labels | undefined,
  isTrained: boolean,
): Labels | undefined {
  if (names === undefined && problemType === undefined) return known;
  const problem = problemType ?? known?.problem ?? 'single_label_classification';
  if (!isTrained || known === undefined)
    return { names: names ?? known?.names ?? unnamed(problem === 'regression' ? 1 : 2), problem };
  checkProblem(known, problemType);
  if (names !== undefined && names.length !== known.names.length)
    throw new LowrankError({
      code: 'tasks.label',
      what: 'labels',
      expected: `${known.names.length} ${known.names.length === 1 ? 'name' : 'names'}, as the adapter has columns`,
      got: `${names.length}: ${names.slice(0, 6).join(', ')}`,
    });
  return { names: names ?? known.names, problem };
}
