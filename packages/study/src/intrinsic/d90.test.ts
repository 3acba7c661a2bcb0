import { expect, test } from 'vitest';
import type { Anchors } from './d90.js';
import { findD90, shareOf } from './d90.js';

const loss: Anchors = { metric: 'loss', base: 3, full: 1 };
const score: Anchors = { metric: 'rouge-l', base: 0.2, full: 0.8 };
const at = (...pairs: readonly (readonly [number, number])[]): { dimension: number; score: number }[] =>
  pairs.map(([dimension, value]) => ({ dimension, score: value }));

test('a share of a loss is of the improvement, and of a score of the score', () => {
  expect(shareOf(1.2, loss)).toBeCloseTo(0.9, 12);
  expect(shareOf(3.2, loss)).toBeCloseTo(-0.1, 12);
  expect(shareOf(0.72, score)).toBeCloseTo(0.9, 12);
  expect(shareOf(1, { metric: 'loss', base: 1, full: 1.1 })).toBeUndefined();
  expect(shareOf(0, { metric: 'exact-match', base: 0, full: 0 })).toBeUndefined();
});

test('d90 is the smallest dimension that reaches 90%, and lies between it and the next smaller on the log axis', () => {
  // Shares 0.5, 0.8, 1.0: 90% is half-way from 100 to 1000, at √10·100.
  expect(findD90(at([1000, 1], [10, 2], [100, 1.4]), loss)).toEqual({
    d90: 1000,
    interpolated: expect.closeTo(100 * Math.sqrt(10), 9) as number,
    above: 100,
    fallen: [],
  });
  // 1.2 is on the line.
  expect(findD90(at([10, 2], [100, 1.2], [1000, 1]), loss)).toMatchObject({
    d90: 100,
    interpolated: expect.closeTo(100, 6) as number,
  });
  expect(findD90(at([10, 0.4], [100, 0.76]), score)).toMatchObject({
    d90: 100,
    interpolated: expect.closeTo(10 * 10 ** (0.4 / 0.45), 9) as number,
  });
});

test('what is not reached is not reached, and what the first one reaches is at most that', () => {
  expect(findD90(at([10, 2.9], [100, 2]), loss)).toEqual({ d90: null, interpolated: null, above: 100, fallen: [] });
  expect(findD90(at([10, 1.1], [100, 1]), loss)).toEqual({ d90: 10, interpolated: null, above: null, fallen: [] });
  expect(findD90([], loss)).toEqual({ d90: null, interpolated: null, above: null, fallen: [] });
  expect(findD90(at([10, NaN]), loss).d90).toBeNull();
  expect(findD90(at([10, 1]), { ...loss, full: 4 }).d90).toBeNull();
});

test('names larger dimensions that fall below again, and takes other shares', () => {
  expect(findD90(at([10, 2], [100, 1.1], [1000, 1.5]), loss)).toMatchObject({ d90: 100, above: 10, fallen: [1000] });
  expect(findD90(at([10, 2], [100, 1.1]), loss, 0.5)).toMatchObject({ d90: 10 });
});
