import { expect, it } from 'vitest';
import { encodeRows } from './dataset.js';
import { rowStatistics, sharedPrompts } from './statistics.js';
import { rowOf, tinyTokenizer } from './testing.js';

it('lengths by rank, in bars that double, and what is learned of them', () => {
  const rows = Array.from({ length: 40 }, (_, at) =>
    rowOf(
      Array.from({ length: at + 1 }, (__, i) => at * 50 + i),
      1,
    ),
  );
  const { lengths, histogram, learnedShare, duplicates } = rowStatistics(rows);
  expect(lengths).toEqual({ min: 1, median: 20, mean: 20.5, p95: 38, max: 40 });
  expect(histogram).toEqual([
    { upTo: 16, rows: 16 },
    { upTo: 32, rows: 16 },
    { upTo: 64, rows: 8 },
  ]);
  expect([learnedShare, duplicates]).toEqual([780 / 820, 0]);
});

it('rows that say the same, and prompts that are on both sides', () => {
  const [row, again, other] = [rowOf([1, 2, 3], 2), rowOf([1, 2, 3], 2), rowOf([1, 2, 4], 2)];
  expect(rowStatistics([row, again, other, again]).duplicates).toBe(2);
  expect(sharedPrompts([row], [other, rowOf([1, 5, 3], 2), again])).toBe(2);
  // A text that is learned whole asks nothing but itself.
  expect(sharedPrompts([rowOf([7, 8])], [rowOf([7, 8]), rowOf([7, 9])])).toBe(1);
});

it('rows of which no end is learned, and what was cut', () => {
  const tokenizer = tinyTokenizer();
  const rows = ['a', 'abc', 'dcba'].map((completion, at) => ({ line: at + 1, prompt: 'd', completion }));
  const { endlessLines, cutTokens, truncatedLines } = encodeRows(rows, tokenizer, { maxLength: 5 });
  expect([endlessLines, cutTokens, truncatedLines]).toEqual([[3], 2, [3]]);
});
