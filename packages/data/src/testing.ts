import { isLowrankError } from '@lowrank/errors';
import { expect } from 'vitest';
import type { EncodedRow } from './encodeRow.js';
import { loadTokenizer } from './tokenizer.js';
import type { TextTokenizer } from './tokenizer.js';

/** The code and the sentence of the LowrankError that `act` ends with; anything else fails the test. */
export async function complaint(act: () => unknown): Promise<{ code: string; message: string }> {
  let error: unknown;
  try {
    await act();
  } catch (reason) {
    error = reason;
  }
  if (!isLowrankError(error)) return expect.fail(`expected a LowrankError, got ${String(error)}`);
  return { code: error.code, message: error.message };
}

const added = (id: number, content: string, special = true): object => ({
  id,
  content,
  special,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
});

/** A BPE tokenizer of letters, `ab` being one token, with BOS before the text as in Llama. */
export const tinyJson = {
  version: '1.0',
  added_tokens: [added(0, '<unk>'), added(1, '<s>'), added(2, '</s>')],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, a: 3, b: 4, c: 5, d: 6, ab: 7, ' ': 8, '\n': 9 },
    merges: ['a b'],
  },
};

export function tinyTokenizer(
  json: object = tinyJson,
  config: object = { bos_token: '<s>', eos_token: '</s>' },
): TextTokenizer {
  return loadTokenizer(json, config);
}

/** A row of the given ids of which the first `masked` carry no label. */
export function rowOf(ids: number[], masked = 0, line = 1): EncodedRow {
  const labels = Int32Array.from(ids, (id, i) => (i < masked ? -100 : id));
  return {
    line,
    ids: Int32Array.from(ids),
    labels,
    labelTokens: Math.max(0, ids.length - Math.max(masked, 1)),
    fullLength: ids.length,
    promptIsPrefix: true,
  };
}
