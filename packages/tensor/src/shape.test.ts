import { expect, test } from 'vitest';
import { broadcastShapes, broadcastStrides, normalizeAxis, sizeOf, stridesOf } from './shape.js';

test('sizes and strides are row-major', () => {
  expect(sizeOf([])).toBe(1);
  expect(sizeOf([2, 3, 5])).toBe(30);
  expect(stridesOf([2, 3, 5])).toEqual([15, 5, 1]);
});

test('shapes broadcast by NumPy’s rule', () => {
  expect(
    broadcastShapes(
      [
        [3, 1],
        [1, 5],
      ],
      'add',
    ),
  ).toEqual([3, 5]);
  expect(broadcastShapes([[5], [2, 3, 5], []], 'add')).toEqual([2, 3, 5]);
  expect(broadcastStrides([3, 1], [2, 3, 5])).toEqual([0, 1, 0]);
});

test('shapes that do not broadcast are named', () => {
  expect(() =>
    broadcastShapes(
      [
        [3, 4],
        [3, 5],
      ],
      'mul',
    ),
  ).toThrow('mul: expected shapes that broadcast (equal sizes, or 1, aligned at the last axis), got [3, 4] and [3, 5]');
});

test('axes may count from the end, within the rank', () => {
  expect(normalizeAxis(-1, 3, 'sum')).toBe(2);
  expect(() => normalizeAxis(3, 3, 'sum')).toThrow('sum: expected an axis between -3 and 2, got 3');
  expect(() => normalizeAxis(0.5, 3, 'sum')).toThrow('0.5');
});
