import { expect, test } from 'vitest';
import { tiesMerge, weightedSum } from './ties.js';

const values = [Float32Array.of(3, -1, 0, 1, 0), Float32Array.of(-1, -2, 4, 1, 0), Float32Array.of(-1, 5, 0, -2, 0)];

test('the sum of the values elects, and what agrees is averaged', () => {
  // Sums 1, 2, 4, 0, 0: all positive, since + is taken where neither prevails.
  expect([...tiesMerge(values, [1, 1, 1], 'total')]).toEqual([3, 5, 4, 1, 0]);
  expect([...tiesMerge(values, [2, 4, -1], 'total')]).toEqual([6, -5, 16, 3, 0]);
});

test('or the greater number of a sign does', () => {
  expect([...tiesMerge(values, [1, 1, 1], 'frequency')]).toEqual([-1, -1.5, 4, 1, 0]);
});

test('the weighted sum', () => {
  expect([...weightedSum(values, [1, -2, 0.5])]).toEqual([4.5, 5.5, -8, -2, 0]);
  expect([...weightedSum([], [])]).toEqual([]);
});
