import { expect, test } from 'vitest';
import { cellText, cellValue, columnsOf, splitRows, toJsonl, withCell } from './rows';

const rows = Array.from({ length: 20 }, (_, at) => ({ prompt: `q${Math.floor(at / 2)}`, completion: `a${at}` }));

test('columns are the keys of all rows, and cells that are no text are edited as JSON', () => {
  expect(columnsOf([{ prompt: 'a' }, { text: 'b', prompt: 'c' }])).toEqual(['prompt', 'text']);
  const messages = [{ role: 'user', content: 'hi' }];
  expect(cellText(messages)).toBe('[{"role":"user","content":"hi"}]');
  expect(cellValue('[1,2]', messages)).toEqual([1, 2]);
  expect(cellValue('[1,', messages)).toBe('[1,');
  expect(cellValue('12', 'a text')).toBe('12');
  expect(cellValue('', 3)).toBeUndefined();
});

test('an edit changes one cell, keeps the order of keys, and takes out what was emptied', () => {
  const [first, second] = withCell([{ n: 1, prompt: 'a' }, { prompt: 'b' }], { row: 0, column: 'n' }, '2');
  expect(Object.entries(first ?? {})).toEqual([
    ['n', 2],
    ['prompt', 'a'],
  ]);
  expect(second).toEqual({ prompt: 'b' });
  expect(withCell([{ n: 1, prompt: 'a' }], { row: 0, column: 'n' }, '')).toEqual([{ prompt: 'a' }]);
  expect(toJsonl([{ a: 1 }, { b: 'x\ny' }])).toBe('{"a":1}\n{"b":"x\\ny"}\n');
});

test('rows are held out by whole prompts, the same ones for the same seed, and never all', () => {
  const { train, held } = splitRows(rows, { percent: 20, seed: 1 });
  expect([train.length, held.length]).toEqual([16, 4]);
  const asked = new Set(train.map(({ prompt }) => prompt));
  expect(held.some(({ prompt }) => asked.has(prompt))).toBe(false);
  expect(splitRows(rows, { percent: 20, seed: 1 }).held).toEqual(held);
  expect(splitRows(rows, { percent: 20, seed: 2 }).held).not.toEqual(held);
  expect(splitRows(rows, { percent: 0, seed: 1 }).held).toEqual([]);
  expect(splitRows(rows.slice(0, 2), { percent: 50, seed: 1 }).train).toHaveLength(2);
  expect(splitRows(rows.slice(0, 4), { percent: 50, seed: 1 }).train).toHaveLength(2);
});
