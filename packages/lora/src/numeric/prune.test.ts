import { Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { magnitudePrune, randomPrune } from './prune.js';

test.each([
  [0.5, [0, -3, 0, 2.5]],
  [0.49, [0, -3, 0, 0]],
  [0.75, [1, -3, 0, 2.5]],
  [1, [1, -3, -1, 2.5]],
  [0.1, [0, 0, 0, 0]],
])('a density of %f keeps ⌊density·n⌋ of the largest', (density, kept) => {
  expect([...magnitudePrune(Float32Array.of(1, -3, -1, 2.5), density)]).toEqual(kept);
});

test('of equal magnitudes the first stay', () => {
  expect([...magnitudePrune(Float32Array.of(2, -2, 5, 2, 2), 0.6)]).toEqual([2, -2, 5, 0, 0]);
  expect([...magnitudePrune(new Float32Array(), 0.5)]).toEqual([]);
});

test('among many numbers of all sizes it is those that sorting finds', () => {
  const rng = new Rng(9);
  const values = Float32Array.from({ length: 3001 }, () => rng.normal() * 10 ** Math.floor(rng.uniform() * 60 - 44));
  for (const density of [0.001, 0.2, 0.77, 0.999]) {
    const keep = Math.trunc(density * 3001);
    const kept = magnitudePrune(values, density).filter((value) => value !== 0);
    expect([...kept.map(Math.abs).sort()]).toEqual([
      ...values
        .map(Math.abs)
        .sort()
        .subarray(3001 - keep),
    ]);
  }
});

test('random pruning keeps the share, and the mean', () => {
  const values = new Float32Array(20000).fill(3);
  const pruned = randomPrune(values, 0.2, new Rng(5));
  expect(new Set(pruned)).toEqual(new Set([0, 15]));
  // Standard deviation of the share: √(0.2·0.8/20000) = 0.0028.
  expect(Math.abs(pruned.filter((value) => value !== 0).length / 20000 - 0.2)).toBeLessThan(0.0115);
  expect(randomPrune(values, 0.2, new Rng(5))).toEqual(pruned);
  expect(randomPrune(values, 1, new Rng(5))).toEqual(values);
});
