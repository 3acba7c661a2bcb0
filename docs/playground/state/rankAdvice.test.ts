import { expect, test } from 'vitest';
import { rankAdvice } from './rankAdvice';

const layer = (...singularValues: number[]): { rank: number; singularValues: number[] } => ({
  rank: 8,
  singularValues,
});

test('directions that hold 95% of the energy decide: fewer than the rank, about all of it, none', () => {
  const idle = rankAdvice([layer(10, 0.1, 0.1, 0.1, 0, 0, 0, 0), layer(5, 5, 0.1, 0, 0, 0, 0, 0)]);
  expect(idle).toMatchObject({ needed: 2, rank: 8 });
  expect(idle?.text).toMatch(/Rank 2 would hold 95%.*4 times smaller/);
  const full = rankAdvice([layer(1, 1, 1, 1, 1, 1, 1, 1)]);
  expect(full).toMatchObject({ needed: 8, usual: 8 });
  expect(full?.text).toMatch(/higher rank/);
  expect(rankAdvice([layer(1, 1, 1, 1, 1, 0, 0, 0)])?.text).toMatch(/suits these rows/);
  expect(rankAdvice([layer(0, 0)])).toBeUndefined();
});
