import type { AppliedMethod, Method, MethodFiles } from '@lowrank/methods';
import { filesToSave } from '../saveFolder.js';
import type { Model } from './model.js';

/** The files of what was learned, for which the tokenizer and the configuration come from the model's own. */
export function originFilesToSave(
  { training, tokenizerFiles }: Model,
  method: Method,
  applied: AppliedMethod,
): Promise<MethodFiles> {
  return filesToSave(method, applied, { ...training.open, tokenizer: tokenizerFiles });
}
