import { expect, test } from 'vitest';
import type { SpecialTokenFiles } from './specialTokens.js';
import { specialTokens } from './specialTokens.js';

const added_tokens = ['<unk>', '<s>', '</s>', '<eot>'].map((content, id) => ({ id, content }));
const template = (single: readonly unknown[], pair: readonly unknown[] = []): object => ({
  type: 'TemplateProcessing',
  single,
  pair,
});
const special = (id: string): object => ({ SpecialToken: { id } });
const sequence = (id: string): object => ({ Sequence: { id } });

const of = (files: Partial<SpecialTokenFiles>): Record<string, unknown> =>
  Object.fromEntries(
    specialTokens({ config: {}, ...files }).map(([key, { value }]) => [key.replace('tokenizer.ggml.', ''), value]),
  );

test('a template tells whether BOS and EOS are added, over what the configuration says', () => {
  const tokenizerConfig = {
    bos_token: '<s>',
    eos_token: { content: '</s>' },
    add_bos_token: false,
    add_eos_token: false,
  };
  expect(
    of({ tokenizerJson: { added_tokens, post_processor: template([special('<s>'), sequence('A')]) }, tokenizerConfig }),
  ).toEqual({ bos_token_id: 1, eos_token_id: 2, add_bos_token: true, add_eos_token: false });
  expect(of({ tokenizerJson: { added_tokens }, tokenizerConfig })).toEqual({
    bos_token_id: 1,
    eos_token_id: 2,
    add_bos_token: false,
    add_eos_token: false,
  });
});

test('a byte-level post-processor adds neither; a sequence of processors is looked through', () => {
  const processors = [{ type: 'ByteLevel' }, template([special('<s>'), sequence('A')])];
  expect(
    of({
      tokenizerJson: { added_tokens, post_processor: { type: 'Sequence', processors } },
      tokenizerConfig: { bos_token: '<s>' },
    }),
  ).toEqual({ bos_token_id: 1, add_bos_token: true, add_eos_token: false });
});

test('another token at the end of the template is EOS, and the configured one the end of a turn', () => {
  const tokenizerConfig = { eos_token: '<eot>' };
  expect(
    of({
      tokenizerJson: { added_tokens, post_processor: template([sequence('A'), special('</s>')]) },
      tokenizerConfig,
    }),
  ).toEqual({ eos_token_id: 2, eot_token_id: 3, add_eos_token: true });
});

test('a separator between two texts, under the name that llama.cpp has for it', () => {
  const pair = [sequence('A'), special('</s>'), sequence('B')];
  expect(
    of({
      tokenizerJson: { added_tokens, post_processor: template([sequence('A')], pair) },
      tokenizerConfig: { eos_token: '</s>' },
    }),
  ).toEqual({ eos_token_id: 2, seperator_token_id: 2, add_sep_token: true });
});

test('config.json says what the tokenizer leaves open; lists of ids and ids beyond the vocabulary are left out', () => {
  expect(of({ config: { bos_token_id: 1, eos_token_id: [2, 3], pad_token_id: 99 }, count: 50 })).toEqual({
    bos_token_id: 1,
  });
});
