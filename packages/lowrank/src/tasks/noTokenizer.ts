import type { TextFiles, TextTokenizer } from '@lowrank/data';
import { readTokenizer } from '@lowrank/data';
import { LowrankError } from '@lowrank/errors';
import type { Task } from './task.js';

/** The tokenizer of a model's files, where the task has texts. */
export async function tokenizerOfTask({ kind }: Task, files: TextFiles): Promise<TextTokenizer> {
  return kind === 'image' ? noTokenizer : readTokenizer(files);
}

const refuse = (): never => {
  throw new LowrankError({
    code: 'tasks.noTexts',
    what: 'a text for a model that reads images',
    expected: 'a setting or a row without texts',
    got: 'a text',
  });
};

/** Of models that read no texts. */
const noTokenizer: TextTokenizer = {
  encode: refuse,
  encodeWithSpans: refuse,
  decode: refuse,
  assemble: refuse,
  tokenOf: () => undefined,
  bosId: undefined,
  eosId: undefined,
  addsBos: false,
  specialTokens: {},
  vocabularySize: 0,
  warnings: [],
};
