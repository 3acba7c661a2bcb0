import { expect, test } from 'vitest';
import { baseTokenizer } from './baseTokenizer.js';
import type { ReadValue } from './headerCursor.js';
import { Metadata } from './metadata.js';
import { impliedMerges } from './merges.js';

const bytes = {
  'general.architecture': 'llama',
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<s>', '<think>', 'é '],
  'tokenizer.ggml.token_type': [1, 1, 1, 3, 4, 1],
  'tokenizer.ggml.merges': ['a b'],
  'tokenizer.ggml.bos_token_id': 3,
};
const read = (values: Readonly<Record<string, ReadValue>>): ReturnType<typeof baseTokenizer> =>
  baseTokenizer(new Metadata('m.gguf', new Map(Object.entries(values))));

test('a byte-level vocabulary: its alphabet, merges and added tokens', () => {
  const { tokenizer, config, warnings } = read(bytes);
  expect(tokenizer).toMatchObject({
    model: { vocab: { a: 0, b: 1, ab: 2, '<s>': 3, '<think>': 4, 'Ã©Ġ': 5 }, merges: [['a', 'b']] },
    added_tokens: [
      { id: 3, content: '<s>', special: true },
      { id: 4, content: '<think>', special: false },
    ],
    post_processor: { single: [{ Sequence: { id: 'A' } }] },
  });
  expect(config).toEqual({ bos_token: '<s>', tokenizer_class: 'PreTrainedTokenizerFast' });
  expect(warnings.join()).toContain('does not say how its vocabulary splits text');
});

test("BOS and EOS go around a text as the file says; else as llama.cpp has it: before Llama 3's", () => {
  const begins = (values: Readonly<Record<string, ReadValue>>): number =>
    (read({ ...bytes, ...values }).tokenizer['post_processor'] as { single: unknown[] }).single.length - 1;
  const pre = 'tokenizer.ggml.pre';
  expect(begins({ [pre]: 'llama-bpe' })).toBe(1);
  expect(begins({ [pre]: 'qwen2' })).toBe(0);
  expect(begins({ [pre]: 'llama-bpe', 'tokenizer.ggml.add_bos_token': false })).toBe(0);
  const eos = { 'tokenizer.ggml.eos_token_id': 4, 'tokenizer.ggml.add_eos_token': true };
  expect(begins({ [pre]: 'qwen2', ...eos })).toBe(1);
});

test('what is no vocabulary that Lowrank reads is refused by name', () => {
  expect(() => read({ ...bytes, 'tokenizer.ggml.pre': 'viking' })).toThrow(/one of gpt-2, .*viking/);
  expect(() => read({ ...bytes, 'tokenizer.ggml.model': 'bert' })).toThrow(/got .?bert/);
  expect(() => read({ ...bytes, 'tokenizer.ggml.bos_token_id': 99 })).toThrow(/an id below 6/);
  const { 'tokenizer.ggml.merges': _, ...others } = bytes;
  expect(() => read({ ...others, 'tokenizer.ggml.model': 'llama' })).toThrow(/a score for each of 6 tokens/);
  expect(() => read(others)).toThrow(/the merges of byte-level BPE/);
  expect(() => read({ ...bytes, 'tokenizer.ggml.tokens': 7 })).toThrow(/a list of texts/);
});

test("a SentencePiece vocabulary's merges: the best score first, then the longer left part", () => {
  const vocabulary = new Map(['a', 'b', 'c', 'ab', 'bc', 'abc'].map((text, id) => [text, id] as const));
  expect(impliedMerges(vocabulary, (id) => -id)).toEqual([
    ['a', 'b'],
    ['b', 'c'],
    ['ab', 'c'],
    ['a', 'bc'],
  ]);
});
