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
    ['objects in the config', tinyJson, { bos_token: { content: '<s>' }, eos_token: { content: 'd' } }, {}, [1, 6, true]],
    ['the model\'s ids', tinyJson, {}, { bos: 1, eos: [5, 6] }, [1, 5, true]],
    ['the config before the model', tinyJson, { eos_token: '</s>' }, { eos: 5 }, [1, 2, true]],
    ['a config that names no token of the vocabulary', tinyJson, { eos_token: '<nowhere>' }, { eos: null }, [1, 2, true]],
    ['usual names', tinyJson, {}, {}, [1, 2, true]],
    ['the template alone', { ...tinyJson, added_tokens: [] }, {}, {}, [1, undefined, true]],
    ['no post-processor', without, { bos_token: '<s>' }, {}, [1, 2, false]],
    ['no post-processor, add_bos_token', without, { bos_token: '<s>', add_bos_token: true }, {}, [1, 2, true]],
    ['a post-processor against add_bos_token', tinyJson, { add_bos_token: false }, {}, [1, 2, true]],
  ])('%s', (_, json, config, modelIds, [bosId, eosId, addsBos]) => {
    const tokenizer = loadTokenizer(json, config, { modelIds });
    expect({ bosId: tokenizer.bosId, eosId: tokenizer.eosId, addsBos: tokenizer.addsBos }).toEqual({ bosId, eosId, addsBos });
    expect(tokenizer.encode('c')).toEqual(addsBos ? [1, 5] : [5]);
  });
});

describe('what is refused', () => {
  const model = tinyJson.model;
  it.each([
    ['no model', {}],
    ['a model without vocabulary', { model: { type: 'BPE' } }],
    ['a model of an unknown type', { ...tinyJson, model: { ...model, type: 'WordLevel' } }],
    ['an unknown part', { ...tinyJson, normalizer: { type: 'Poetry' } }],
    ['two tokens before a text', { ...tinyJson, post_processor: { ...tinyJson.post_processor, single: [...tinyJson.post_processor.single.slice(0, 1), ...tinyJson.post_processor.single] } }],
  ])('%s', async (_, json) => {
    const { code, message } = await complaint(() => loadTokenizer(json, {}, { name: 'x/tokenizer.json' }));
    expect(code).toBe('data.tokenizer');
    expect(message).toMatch(/^x\/tokenizer\.json: expected /);
  });

  it('a text that the vocabulary cannot spell', async () => {
    const { unk_token: _, ...spelled } = model;
    const tokenizer = loadTokenizer({ ...tinyJson, model: { ...spelled, unk_token: null } });
    const result = tokenizer.encode('abc');
    expect(result).toEqual([1, 7, 5]);
  });
});
