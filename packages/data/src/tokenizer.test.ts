import { describe, expect, it } from 'vitest';
import { complaint, tinyJson, tinyTokenizer } from './testing.js';
import { loadTokenizer } from './tokenizer.js';

describe('a tokenizer with BOS', () => {
  const tokenizer = tinyTokenizer();
  it('encodes and decodes', () => {
    expect(tokenizer.encode('abc d')).toEqual([1, 7, 5, 8, 6]);
    expect(tokenizer.encode('abc d', { addSpecialTokens: false })).toEqual([7, 5, 8, 6]);
    expect(tokenizer.encode('')).toEqual([1]);
    expect(tokenizer.decode([1, 7, 5, 8, 6, 2])).toBe('abc d');
    expect(tokenizer.decode(Int32Array.of(1, 7, 2), { skipSpecialTokens: false })).toBe('<s>ab</s>');
    expect(tokenizer.decode([])).toBe('');
  });

  it('knows its special tokens and its size', () => {
    expect(tokenizer).toMatchObject({ bosId: 1, eosId: 2, addsBos: true, vocabularySize: 10 });
    expect(tokenizer.tokenOf(7)).toBe('ab');
    expect(tokenizer.tokenOf(99)).toBeUndefined();
  });
});

describe('where BOS and EOS come from', () => {
  const without = { ...tinyJson, post_processor: null };
  it.each([
    {
      name: 'objects in the config',
      json: tinyJson,
      config: { bos_token: { content: '<s>' }, eos_token: { content: 'd' } },
      modelIds: {},
      found: [1, 6, true],
    },
    { name: "the model's ids", json: tinyJson, config: {}, modelIds: { bos: 1, eos: [5, 6] }, found: [1, 5, true] },
    {
      name: 'the config before the model',
      json: tinyJson,
      config: { eos_token: '</s>' },
      modelIds: { eos: 5 },
      found: [1, 2, true],
    },
    {
      name: 'a config that names a token beyond the vocabulary, which is added',
      json: tinyJson,
      config: { eos_token: '<nowhere>' },
      modelIds: { eos: null },
      found: [1, 10, true],
    },
    { name: 'usual names', json: tinyJson, config: {}, modelIds: {}, found: [1, 2, true] },
    {
      name: 'the template alone',
      json: { ...tinyJson, added_tokens: [] },
      config: {},
      modelIds: {},
      found: [1, undefined, true],
    },
    { name: 'no post-processor', json: without, config: { bos_token: '<s>' }, modelIds: {}, found: [1, 2, false] },
    {
      name: 'no post-processor: add_bos_token is not heard, as in transformers 5',
      json: without,
      config: { bos_token: '<s>', add_bos_token: true },
      modelIds: {},
      found: [1, 2, false],
    },
    {
      name: 'a post-processor against add_bos_token',
      json: tinyJson,
      config: { add_bos_token: false },
      modelIds: {},
      found: [1, 2, true],
    },
  ])('$name', ({ json, config, modelIds, found: [bosId, eosId, addsBos] }) => {
    const tokenizer = loadTokenizer(json, config, { modelIds });
    expect({ bosId: tokenizer.bosId, eosId: tokenizer.eosId, addsBos: tokenizer.addsBos }).toEqual({
      bosId,
      eosId,
      addsBos,
    });
    expect(tokenizer.encode('c')).toEqual(addsBos ? [1, 5] : [5]);
  });
});

describe('what is refused', () => {
  const model = tinyJson.model;
  it.each([
    ['no model', {}],
    ['a model without vocabulary', { model: { type: 'BPE' } }],
    ['a model of an unknown type', { ...tinyJson, model: { ...model, type: 'Poetry' } }],
    ['an unknown part', { ...tinyJson, normalizer: { type: 'Poetry' } }],
    ['a normalizer that every object has', { ...tinyJson, normalizer: { type: 'constructor' } }],
    ['a splitter that every object has', { ...tinyJson, pre_tokenizer: { type: 'toString' } }],
    ['a processor that every object has', { ...tinyJson, post_processor: { type: 'valueOf' } }],
    ['a decoder that every object has', { ...tinyJson, decoder: { type: 'constructor' } }],
    [
      'two tokens before a text',
      {
        ...tinyJson,
        post_processor: {
          ...tinyJson.post_processor,
          single: [...tinyJson.post_processor.single.slice(0, 1), ...tinyJson.post_processor.single],
        },
      },
    ],
  ])('%s', async (_, json) => {
    const { code, message } = await complaint(() => loadTokenizer(json, {}, { name: 'x/tokenizer.json' }));
    expect(code).toBe('data.tokenizer');
    expect(message).toMatch(/^x\/tokenizer\.json: .*expected /);
  });

  it('a text that the vocabulary cannot spell', async () => {
    const tokenizer = loadTokenizer({ ...tinyJson, model: { ...model, unk_token: '<gone>' } });
    const { code, message } = await complaint(() => tokenizer.encode('abx'));
    expect(code).toBe('data.tokenizer');
    expect(message).toContain('no id for "<gone>"');
    expect(tinyTokenizer().encode('abx')).toEqual([1, 7, 0]);
  });
});

it('refuses a merge of a hundred thousand blanks at once', () => {
  const begin = performance.now();
  const model = { type: 'BPE', vocab: { a: 0 }, merges: ['ab '.repeat(100_000)] };
  expect(() => loadTokenizer({ model, added_tokens: [] })).toThrow(/merges/);
  expect(performance.now() - begin).toBeLessThan(2000);
});
