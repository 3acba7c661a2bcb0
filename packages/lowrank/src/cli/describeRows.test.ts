import { expect, test } from 'vitest';
import { describeHistogram, describeRows } from './describeRows.js';

const statistics = {
  lengths: { min: 9, median: 20, mean: 21.5, p95: 33, max: 40 },
  histogram: [
    { upTo: 16, rows: 1 },
    { upTo: 32, rows: 1200 },
    { upTo: 64, rows: 600 },
  ],
  learnedShare: 0.5,
  duplicates: 0,
};
const rows = { forms: '1801 rows of text', tokens: 40_000, labelTokens: 10_000, statistics };

test('what there is in rows, in a line', () => {
  expect(describeRows(rows)).toBe(
    '1801 rows of text; 40,000 tokens, 25% learned; 9 to 40 tokens a row, median 20, 95% at most 33',
  );
  expect(describeRows({ ...rows, sampled: 1000 })).toBe(
    '1801 rows of text, read as they are drawn; in 1,000 of them 25% learned; 9 to 40 tokens a row, median 20, ' +
      '95% at most 33',
  );
});

test('a histogram: the longest bar is 30 wide, and none has nothing', () => {
  expect(describeHistogram(statistics)).toBe(
    `  up to 16 tokens █ 1\n  up to 32 tokens ${'█'.repeat(30)} 1,200\n  up to 64 tokens ${'█'.repeat(15)} 600`,
  );
});
