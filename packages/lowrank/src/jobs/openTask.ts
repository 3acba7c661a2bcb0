import { LowrankError, shown } from '@lowrank/errors';
import type { RecordRow } from '@lowrank/data';
import type { HeadRequest, ModelFamily, ModelFiles, TaskModel } from '@lowrank/models';
import { checkReads, findFamily, headClasses, loadTaskModel, openFolder, readJson, taskTypes } from '@lowrank/models';
import { openSafetensors } from '@lowrank/safetensors';
import { openAdapterFolder } from '../adapterFolder.js';
import { loadingReporter } from '../front/loadingReporter.js';
import type { Labels } from '../tasks/labels.js';
import { labelKeys, namesIn, problemIn, unnamed } from '../tasks/labels.js';
import { imageInput } from '../tasks/imageInput.js';
import type { ImageInput, Task, TaskName } from '../tasks/task.js';
import { taskNames } from '../tasks/task.js';
import { taskNamed, taskOfClass, taskOfRow, unknownTask } from '../tasks/tasks.js';
import { optionalJson } from './optionalJson.js';
import type { OpenedModel, OpenModelOptions } from './openModel.js';
import { asOpenedModel } from './openModel.js';
import { loadedAs } from './quantization.js';

/** A model of a folder with the head of a task. */
export interface OpenTask extends OpenedModel<TaskModel> {
  readonly task: Task;
  readonly labels: Labels;
  /** Of a model that reads images. */
  readonly images?: ImageInput | undefined;
}

/** What an adapter's folder says of its task beside PEFT's files, which hold neither task nor names of labels. */
export const taskFileName = 'task.json';

/** Where a task and its labels are known from. */
export interface TaskPlaces {
  readonly model: string | ModelFiles;
  readonly adapter?: string | ModelFiles | undefined;
  readonly task?: TaskName | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** What a folder, and an adapter for it, say of a task. */
export interface KnownTask {
  /** Undefined where neither names one. */
  readonly task: Task | undefined;
  /** Undefined where no labels are known. */
  readonly labels: Labels | undefined;
  /** Whether the model can be used for nothing but tasks. */
  readonly isEncoder: boolean;
  readonly family: ModelFamily | undefined;
}

/** What is known of a task before rows are read: by the option, the adapter, the config. */
export async function knownTask({ model, adapter, task: asked }: TaskPlaces): Promise<KnownTask> {
  const files = await filesOf(model);
  const config = await readJson(files, 'config.json');
  const ofAdapter = adapter === undefined ? undefined : await taskOfAdapter(await filesOf(adapter));
  if (asked !== undefined && ofAdapter !== undefined) checkAdapterTask(asked, ofAdapter);
  const architectures = Array.isArray(config['architectures']) ? (config['architectures'] as unknown[]) : [];
  const task =
    asked === undefined
      ? (ofAdapter?.task ?? architectures.map(taskOfClass).find((each) => each !== undefined))
      : taskNamed(asked);
  const own = labelsIn(config);
  const count = ofAdapter?.count;
  const known =
    ofAdapter?.labels ?? (own !== undefined && (count === undefined || own.names.length === count) ? own : undefined);
  const labels =
    known ??
    (count === undefined
      ? undefined
      : { names: unnamed(count), problem: 'single_label_classification' as const, isGuess: true });
  const family = findFamily(config['model_type']);
  return { task, labels, isEncoder: family?.isEncoder === true, family };
}

/** @throws LowrankError `tasks.other` for an adapter that was trained for something else */
function checkAdapterTask(asked: TaskName, { task, isWriter }: Awaited<ReturnType<typeof taskOfAdapter>>): void {
  if (!isWriter && (task === undefined || task.name === asked)) return;
  throw new LowrankError({
    code: 'tasks.other',
    what: (names) => `${names('task', asked)} with this adapter`,
    expected: task === undefined ? 'an adapter for a task' : `${task.name}, for which it was trained`,
    got: isWriter ? `${asked}; the adapter writes text` : asked,
    remedy: (names) => `Leave ${names('task')} out, or give an adapter for ${asked}.`,
    setting: 'task',
  });
}

/** The task of rows that are read already. @throws LowrankError `tasks.unknown`, `models.head` */
export function taskOf({ task, isEncoder, family }: KnownTask, records: readonly RecordRow[]): Task | undefined {
  const found = task ?? (isEncoder ? taskOfFirst(records) : undefined);
  if (found !== undefined && family !== undefined) checkReads(family, found.kind);
  return found;
}

function taskOfFirst([first]: readonly RecordRow[]): Task {
  const found = first && taskOfRow(first.values);
  if (found === undefined)
    throw unknownTask(first === undefined ? 'the rows' : `${first.name}, line ${first.line}`, first?.values);
  return found;
}

/** Names of labels in a config.json, where they are more than numbers. */
function labelsIn(config: Json): Labels | undefined {
  const names = namesIn(config);
  if (names === undefined) return undefined;
  const problem = problemIn(config);
  return { names, problem: problem ?? 'single_label_classification', isGuess: problem === undefined };
}

async function taskOfAdapter(files: ModelFiles): Promise<{
  readonly task: Task | undefined;
  readonly labels: Labels | undefined;
  readonly count: number | undefined;
  /** Whether it was trained to write text. */
  readonly isWriter: boolean;
}> {
  const source = await openAdapterFolder(files);
  const kept = await optionalJson(files, taskFileName);
  const type = (source.config as Json)['task_type'];
  const kind = Object.entries(taskTypes).find(([, name]) => name !== null && name === type)?.[0];
  // PEFT has no task type for images, and names the class in its place.
  const { base_model_class: className } = ((source.config as Json)['auto_mapping'] ?? {}) as Json;
  const named = kept === undefined ? undefined : taskNames.find((name) => name === kept['task']);
  const task =
    named === undefined
      ? taskOfClass((typeof type === 'string' ? headClasses[kind as HeadRequest['kind']] : className) ?? '')
      : taskNamed(named);
  const { tensors } = await openSafetensors(source.weights);
  const head = [...tensors.values()].find(({ name }) =>
    /(^|\.)(classifier|classifier\.out_proj|score)\.(modules_to_save\.(default\.)?)?weight$/.test(name),
  );
  const fallback = kind === 'embedding' ? taskNamed('feature-extraction') : task;
  const labels = kept === undefined ? undefined : labelsIn(kept);
  return { task: fallback, labels, count: head?.shape[0], isWriter: type === 'CAUSAL_LM' };
}

/** task.json of an adapter's folder: what its columns mean. */
export function taskFile({ task, labels }: Pick<OpenTask, 'task' | 'labels'>): Record<string, string> {
  const content = { task: task.name, ...labelKeys(labels, task.kind) };
  return { [taskFileName]: `${JSON.stringify(content, null, 2)}\n` };
}

/** config.json of a model with this head: its class, and what its columns mean. */
export function taskConfig(config: Json, { task, labels }: Pick<OpenTask, 'task' | 'labels'>): Json {
  const family = findFamily(config['model_type']);
  const [given] = Array.isArray(config['architectures']) ? (config['architectures'] as unknown[]) : [];
  const name = typeof given === 'string' ? given.replace(/(For[A-Z]\w*|LMHeadModel|Model)$/, '') : family?.className;
  return {
    ...config,
    ...(name !== undefined && { architectures: [`${name}${headClasses[task.kind]}`] }),
    ...labelKeys(labels, task.kind),
  };
}

export interface OpenTaskOptions extends OpenModelOptions {
  readonly seed?: number | undefined;
}

/** Loads a model folder with the head of a task. @throws LowrankError what loadTaskModel throws */
export async function openTask(
  folder: string,
  { task, labels }: Pick<OpenTask, 'task' | 'labels'>,
  options: OpenTaskOptions = {},
): Promise<OpenTask> {
  const files = await openFolder(folder);
  const { onTransfer, onWarning, backend, seed } = options;
  const module = await loadTaskModel(files, headOf({ task, labels }, seed), {
    backend,
    onWarning,
    ...loadedAs(options),
    onProgress: loadingReporter(onTransfer),
  });
  return asOpenTask(folder, module, { task, labels, files, images: await imageInput(module, files) });
}

/** The head that a task and its labels ask for. */
export function headOf({ task, labels }: Pick<OpenTask, 'task' | 'labels'>, seed?: number): HeadRequest {
  const { kind } = task;
  return { kind, labels: kind === 'span' ? 2 : labels.names.length, seed };
}

export function asOpenTask(
  folder: string,
  module: TaskModel,
  {
    task,
    labels,
    files,
    images,
  }: Pick<OpenTask, 'task' | 'labels' | 'images'> & { readonly files?: ModelFiles | undefined },
): OpenTask {
  return Object.assign(asOpenedModel(folder, module, files), { task, labels, images });
}

async function filesOf(place: string | ModelFiles): Promise<ModelFiles> {
  return typeof place === 'string' ? openFolder(place) : place;
}

/** @throws LowrankError `tasks.needed` for a model that is for no task that anyone knows of */
export function requireTask(task: Task | undefined, what: string): Task {
  if (task !== undefined) return task;
  throw new LowrankError({
    code: 'tasks.needed',
    what,
    expected: (names) => `${names('task')} with it, or a model or adapter made for one`,
    got: shown('none'),
    setting: 'task',
  });
}
