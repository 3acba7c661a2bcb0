import { expect, test } from 'vitest';
import { ignored } from '../encodeRow.js';
import type { JudgedRow } from './judgedGroups.js';
import { judgedGroups } from './judgedGroups.js';

/** Row n has the prompt n and the completion 100 + n, twice. */
const rows = (count: number): JudgedRow[] =>
  Array.from({ length: count }, (_, at) => ({
    line: at + 1,
    prompt: Int32Array.of(1, at),
    completion: Int32Array.of(100 + at, 100 + at),
    isGood: at % 2 === 0,
  }));

test('each prompt also has the completion of the row before, within its group', () => {
  const [first = []] = judgedGroups(rows(6), { size: 3, shuffle: false });
  expect(first.map(({ documents }) => documents.map(({ ids }) => [...ids]))).toEqual([
    [
      [1, 0, 100, 100],
      [1, 0, 102, 102],
    ],
    [
      [1, 1, 101, 101],
      [1, 1, 100, 100],
    ],
    [
      [1, 2, 102, 102],
      [1, 2, 101, 101],
    ],
  ]);
  expect(first.map(({ isGood }) => isGood)).toEqual([true, false, true]);
  expect([...(first[0]?.documents[1].labels ?? [])]).toEqual([ignored, ignored, 102, 102]);
});

test.each([
  [9, 4, [4, 5]],
  [8, 4, [4, 4]],
  [10, 4, [4, 4, 2]],
  [3, 8, [3]],
  [5, 4, [5]],
])('%i rows in groups of %i: %j', (count, size, sizes) => {
  for (const shuffle of [true, false]) {
    const groups = judgedGroups(rows(count), { size, shuffle, seed: 3 });
    expect(groups.map(({ length }) => length)).toEqual(sizes);
    const lines = groups.flat().map(({ line }) => line);
    expect([...lines].sort((a, b) => a - b)).toEqual(rows(count).map(({ line }) => line));
  }
});

test('the groups follow the seed', () => {
  const lines = (seed: number): string =>
    String(
      judgedGroups(rows(20), { size: 5, seed })
        .flat()
        .map(({ line }) => line),
    );
  expect(lines(1)).toBe(lines(1));
  expect(lines(1)).not.toBe(lines(2));
});

test('documents are cut to the maximum length', () => {
  const [[example] = []] = judgedGroups(rows(2), { size: 2, maxLength: 3, shuffle: false });
  expect(example?.documents.map(({ ids, labelTokens }) => [[...ids], labelTokens])).toEqual([
    [[1, 0, 100], 1],
    [[1, 0, 101], 1],
  ]);
});

test('one row makes no group', () => {
  expect(() => judgedGroups(rows(4), { size: 1 })).toThrow('at least two rows');
  expect(() => judgedGroups(rows(1), { size: 4 })).toThrow('1 row in all');
});
