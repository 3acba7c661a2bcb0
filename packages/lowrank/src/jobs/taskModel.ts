import type { TextTokenizer } from '@lowrank/data';
import type { MethodName } from '@lowrank/methods';
import { methodNamed } from '@lowrank/methods';
import type { Precision } from '@lowrank/tensor/backend';
import type { BackendOrOpener } from '../device.js';
import { backendOnce } from '../device.js';
import type { RunEvent } from '../front/runOptions.js';
import type { TaskTraining } from '../front/taskRun.js';
import { tokenizerOfTask } from '../tasks/noTokenizer.js';
import type { OpenModelOptions } from './openModel.js';
import { openTask } from './openTask.js';
import { quantizationOf } from './quantization.js';
import type { TaskOfRun } from './taskOfRun.js';
import { ownTokenizer, tokenizerFiles } from './tokenizerFiles.js';

export interface TaskModelOptions extends Omit<OpenModelOptions, 'backend'> {
  readonly model: string;
  readonly initAdapter?: string | undefined;
  readonly method?: MethodName | undefined;
  readonly backend: BackendOrOpener;
  readonly precision?: Precision | undefined;
  readonly tokenizer?: TextTokenizer | undefined;
  readonly seed?: number | undefined;
  onEvent?(event: Extract<RunEvent, { type: 'warning' }>): void | Promise<void>;
}

/** A model with a head to train, and the files of its tokenizer where an adapter that it goes on from has its own. */
export async function taskModel(
  options: TaskModelOptions,
  task: TaskOfRun,
): Promise<{ readonly model: TaskTraining; readonly texts: Readonly<Record<string, string>> }> {
  const { initAdapter } = options;
  const chosen = methodNamed(options.method ?? 'lora');
  const backend = backendOnce(options.backend, options);
  const texts = await tokenizerFiles(options.model, initAdapter);
  const tokenizer = options.tokenizer ?? (await tokenizerOfTask(task.task, texts));
  const warn = async (text: string): Promise<void> => options.onEvent?.({ type: 'warning', text });
  for (const text of tokenizer.warnings) await warn(text);
  // The trainer lays trained weights out itself, from the host.
  const open = await openTask(options.model, task, {
    ...options,
    backend: chosen.saves === 'model' ? undefined : backend,
  });
  const { fresh } = open.module;
  if (fresh.length > 0 && initAdapter === undefined)
    await warn(`${options.model} has no weights for ${fresh.join(', ')}, which begin anew`);
  return {
    model: {
      open,
      rows: task.rows,
      tokenizer,
      chatTemplate: () => Promise.resolve(undefined),
      backend,
      quantization: quantizationOf(options),
    },
    texts: initAdapter === undefined ? {} : await ownTokenizer(initAdapter),
  };
}
