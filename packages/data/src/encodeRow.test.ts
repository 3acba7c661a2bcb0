import { describe, expect, it } from 'vitest';
import { encodeRow } from './encodeRow.js';
import { complaint, tinyJson, tinyTokenizer } from './testing.js';

const tokenizer = tinyTokenizer();
const bosless = tinyTokenizer({ ...tinyJson, post_processor: null });
const x = -100;

describe('encodeRow', () => {
  it.each([
    {
      name: 'prompt and completion',
      row: { prompt: 'a', completion: 'cd' },
      ids: [1, 3, 5, 6, 2],
      labels: [x, x, 5, 6, 2],
      labelTokens: 3,
    },
    {
      name: 'an empty completion',
      row: { prompt: 'a', completion: '' },
      ids: [1, 3, 2],
      labels: [x, x, 2],
      labelTokens: 1,
    },
    {
      name: 'an empty prompt',
      row: { prompt: '', completion: 'a' },
      ids: [1, 3, 2],
      labels: [x, 3, 2],
      labelTokens: 2,
    },
    {
      name: 'text: labels everywhere, though nothing predicts BOS',
      row: { text: 'ac' },
      ids: [1, 3, 5, 2],
      labels: [1, 3, 5, 2],
      labelTokens: 3,
    },
    { name: 'an empty text', row: { text: '' }, ids: [1, 2], labels: [1, 2], labelTokens: 1 },
  ])('$name', ({ row, ids, labels, labelTokens }) => {
    const encoded = encodeRow({ line: 3, ...row }, tokenizer);
    expect([...encoded.ids]).toEqual(ids);
    expect([...encoded.labels]).toEqual(labels);
    expect(encoded).toMatchObject({ line: 3, labelTokens, fullLength: ids.length, promptIsPrefix: true });
  });

  it('without BOS the first token has a label that is not counted', () => {
    const encoded = encodeRow({ line: 1, text: 'ac' }, bosless);
    expect([[...encoded.ids], [...encoded.labels], encoded.labelTokens]).toEqual([[3, 5, 2], [3, 5, 2], 2]);
    expect(encodeRow({ line: 1, text: '' }, bosless).labelTokens).toBe(0);
  });

  it(
    'tokenizes both as one text, masks the tokens that it shares with the prompt alone, and says that the ' +
      'border is off',
    () => {
      const merged = encodeRow({ line: 1, prompt: 'ca', completion: 'bd' }, tokenizer);
      expect([...merged.ids]).toEqual([1, 5, 7, 6, 2]);
      expect([...merged.labels]).toEqual([x, x, 7, 6, 2]);
      expect(merged.promptIsPrefix).toBe(false);
    },
  );

  it("still learns EOS where the completion vanishes in the prompt's tokens", () => {
    const merged = encodeRow({ line: 1, prompt: 'a', completion: 'b' }, tokenizer);
    expect([...merged.ids]).toEqual([1, 7, 2]);
    expect([...merged.labels]).toEqual([x, 7, 2]);
  });

  it.each([
    [5, [1, 3, 5, 6, 2], 3],
    [4, [1, 3, 5, 6], 2],
    [2, [1, 3], 0],
    [1, [1], 0],
  ])('keeps the start at maxLength %d', (maxLength, ids, labelTokens) => {
    const encoded = encodeRow({ line: 1, prompt: 'a', completion: 'cd' }, tokenizer, { maxLength });
    expect([...encoded.ids]).toEqual(ids);
    expect(encoded.labels).toHaveLength(ids.length);
    expect(encoded).toMatchObject({ labelTokens, fullLength: 5 });
  });

  it('puts around a row what the tokenizer puts around every text, EOS too, as TRL does', () => {
    const { post_processor: post } = tinyJson;
    const eosToo = {
      ...post,
      single: [...post.single, { SpecialToken: { id: '</s>', type_id: 0 } }],
      special_tokens: { ...post.special_tokens, '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] } },
    };
    const both = tinyTokenizer({ ...tinyJson, post_processor: eosToo });
    expect(both.encode('c')).toEqual([1, 5, 2]);
    expect([...encodeRow({ line: 1, prompt: 'c', completion: 'd' }, both).labels]).toEqual([x, x, 6, 2, 2]);
  });

  it('writes no second EOS, and tells a second BOS', () => {
    const ids = (text: string): number[] => [...encodeRow({ line: 1, text }, tokenizer).ids];
    expect([ids('ab'), ids('ab</s>')]).toEqual([
      [1, 7, 2],
      [1, 7, 2],
    ]);
    const { labels } = encodeRow({ line: 1, prompt: 'a', completion: 'c</s>' }, tokenizer);
    expect([...labels]).toEqual([x, x, 5, 2]);
    expect(encodeRow({ line: 1, text: '<s>c' }, tokenizer)).toMatchObject({ doublesBos: true });
    expect(encodeRow({ line: 1, text: 'c' }, tokenizer)).toMatchObject({ doublesBos: false });
  });

  it('needs an EOS', async () => {
    const none = tinyTokenizer({ ...tinyJson, added_tokens: [] }, {});
    expect((await complaint(() => encodeRow({ line: 1, text: 'a' }, none))).code).toBe('data.noEos');
  });
});
