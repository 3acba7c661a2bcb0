import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import { filesToSave } from '../saveFolder.js';
import type { OpenedModel } from '../jobs/openModel.js';
import type { OpenTask } from '../jobs/openTask.js';

/** A model that was trained, and the files that it came from. */
export interface TrainedOrigin {
  readonly training: { readonly open: OpenedModel & Partial<Pick<OpenTask, 'task' | 'labels'>> };
  /** The tokenizer's, where it is not the model's own any more. */
  readonly tokenizerFiles: Readonly<Record<string, string>> | undefined;
}

/** The files of what was learned, for which the tokenizer and the configuration come from the model's own. */
export function originFilesToSave(
  { training, tokenizerFiles }: TrainedOrigin,
  method: Method,
  applied: AppliedMethod,
): Promise<MethodFiles> {
  return filesToSave(method, applied, { ...training.open, tokenizer: tokenizerFiles });
}
