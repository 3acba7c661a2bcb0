import type { EncodedRow } from '@lowrank/data';
import { expect, test } from 'vitest';
import { evaluationWindows, largestWindow, trainingWindows } from './windows.js';

/** Row i has the given length; every id is i. */
const makeRows = (lengths: readonly number[]): EncodedRow[] =>
  lengths.map((length, i) => {
    const ids = new Int32Array(length).fill(i);
    return { line: i + 1, ids, labels: ids, labelTokens: length - 1, fullLength: length, promptIsPrefix: true };
  });
const rows = makeRows([5, 9, 3, 30, 7]);

test('in file order, wrapping; a window is as many batches as are accumulated', () => {
  const windows = trainingWindows(rows, { batchSize: 2, gradientAccumulation: 2, shuffle: false });
  const first = windows.next().value;
  expect(first.map(({ batch, length, tokens, rows: count }) => [batch, length, tokens, count])).toEqual([
    [1, 16, 14, 2],
    [1, 64, 33, 2],
  ]);
  const second = windows.next().value;
  expect(second.map(({ tokens }) => tokens)).toEqual([12, 12]);
  expect([...(second[0]?.ids.subarray(0, 8) ?? [])]).toEqual([4, 4, 4, 4, 4, 4, 4, 0]);
});

test('without packing each row has a sequence of its own', () => {
  const [batch] = trainingWindows(rows, { batchSize: 4, shuffle: false, packing: false }).next().value;
  expect(batch).toMatchObject({ batch: 4, length: 32, tokens: 47 });
});

test('more tokens than one packed sequence may hold become several batches of the same step', () => {
  const window = trainingWindows(rows, { batchSize: 5, shuffle: false, maxPackedTokens: 32 }).next().value;
  expect(window.map(({ tokens }) => tokens).sort((a, b) => a - b)).toEqual([24, 30]);
  const capped = trainingWindows(rows, { batchSize: 5, shuffle: false, maxPackedTokens: 1 }).next().value;
  expect(Math.max(...capped.map(({ tokens }) => tokens))).toBe(30);
});

test('the seed decides the order', () => {
  const ids = (seed: number): number[] => [
    ...(trainingWindows(rows, { batchSize: 5, seed }).next().value[0]?.ids ?? []),
  ];
  expect(ids(1)).toEqual(ids(1));
  expect(ids(1)).not.toEqual(ids(2));
});

test('the largest window is found among the steps to come, and no others', () => {
  const options = { batchSize: 1, shuffle: false, gradientAccumulation: 1 };
  expect(largestWindow(rows, { ...options, steps: 3 })).toEqual([{ batch: 1, length: 16 }]);
  expect(largestWindow(rows, { ...options, steps: 4 })).toEqual([{ batch: 1, length: 32 }]);
});

test('evaluation has every row once, in one shape', () => {
  const windows = evaluationWindows(rows, { maxPackedTokens: 20 });
  expect(new Set(windows.map(({ length }) => length))).toEqual(new Set([32]));
  expect(windows.reduce((total, window) => total + window.rows, 0)).toBe(5);
  expect(windows.reduce((total, window) => total + window.tokens, 0)).toBe(54);
  expect(evaluationWindows(rows).map(({ batch, length }) => [batch, length])).toEqual([[1, 64]]);
});
