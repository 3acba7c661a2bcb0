import { expect, test } from 'vitest';
import { normalCdfOf } from './normalCdf.js';

// From mpmath at 40 digits.
const known: [number, number][] = [
  [1e-9, 0.49999999960105773],
  [0.1, 0.460172162722971],
  [0.5, 0.3085375387259869],
  [1, 0.15865525393145705],
  [2, 0.02275013194817921],
  [2.8, 0.0025551303304279342],
  [2.83, 0.002327400206731554],
  [2.9, 0.0018658133003840384],
  [4, 3.1671241833119924e-5],
  [6, 9.86587645037698e-10],
  [10, 7.619853024160525e-24],
  [30, 4.906713927148187e-198],
];

test('the lower tail to 3e-13 of itself, on both sides of where the formulas meet', () => {
  for (const [x, tail] of known) {
    expect(Math.abs(normalCdfOf(-x) / tail - 1)).toBeLessThan(3e-13);
    expect(Math.abs(normalCdfOf(x) - (1 - tail))).toBeLessThan(2e-16);
  }
});

test('ends and what is no number', () => {
  expect([-Infinity, -0, 0, Infinity, NaN].map(normalCdfOf)).toEqual([0, 0.5, 0.5, 1, NaN]);
});
