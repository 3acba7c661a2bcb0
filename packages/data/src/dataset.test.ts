import { expect, it } from 'vitest';
import { encodeRows, loadDataset } from './dataset.js';
import { complaint, tinyTokenizer } from './testing.js';

const tokenizer = tinyTokenizer();

it('encodes rows and counts what became of them', async () => {
  const text = [
    '{"prompt":"a","completion":"c"}',
    '{"prompt":"cccc","completion":"d"}',
    '',
    '{"prompt":"a","completion":"b"}',
    '{"text":"cdcdcd"}',
  ].join('\n');
  const data = await loadDataset(text, tokenizer, { name: 'x', maxLength: 5, vocabularySize: 10 });
  expect(data.rows.map(({ line }) => line)).toEqual([1, 4, 5]);
  expect(data).toMatchObject({
    name: 'x',
    tokens: 4 + 3 + 5,
    labelTokens: 2 + 2 + 4,
    droppedLines: [2],
    truncatedLines: [2, 5],
    unalignedLines: [4],
  });
});

it('names the line and the token of an id that the model does not have', async () => {
  const { code, message } = await complaint(() =>
    loadDataset('{"text":"c"}\n{"text":"cab"}', tokenizer, { name: 'train.jsonl', vocabularySize: 7 }),
  );
  expect(code).toBe('data.vocabulary');
  expect(message).toContain(
    'train.jsonl, line 2: token "ab" at position 2: expected an id below the model\'s vocabulary of 7, got 7',
  );
});

it('refuses data of which nothing is left, and a length that leaves nothing', async () => {
  const rows = [
    { line: 1, prompt: 'cccc', completion: 'd' },
    { line: 2, prompt: 'cccccc', completion: 'd' },
  ];
  const { code, message } = await complaint(() => encodeRows(rows, tokenizer, { maxLength: 4 }));
  expect(code).toBe('data.noLabels');
  expect(message).toContain('lines 1, 2');
  expect((await complaint(() => encodeRows([], tokenizer))).code).toBe('data.noLabels');
  for (const maxLength of [1, 0, -3, 2.5, NaN]) {
    expect((await complaint(() => encodeRows(rows, tokenizer, { maxLength }))).code).toBe('data.maxLength');
  }
});
