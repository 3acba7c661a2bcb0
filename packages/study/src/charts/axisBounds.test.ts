import { expect, it } from 'vitest';
import { logBounds, niceBounds } from './axisBounds.js';

it('takes round numbers around the values', () => {
  expect(niceBounds([42, 55])).toEqual({ min: 40, max: 60, interval: 5 });
  expect(niceBounds([0.31, 0.36])).toEqual({ min: 0.3, max: 0.38, interval: 0.02 });
  expect(niceBounds([330, 450], { floor: 0 })).toEqual({ min: 300, max: 500, interval: 50 });
  expect(niceBounds([0, 12.6], { floor: 0 }).min).toBe(0);
  const single = niceBounds([5]);
  expect(single.min).toBeLessThan(5);
  expect(single.max).toBeGreaterThan(5);
  expect(niceBounds([])).toMatchObject({ interval: 0.25 });
});

it('takes powers of ten around counts', () => {
  expect(logBounds([6144, 400_000])).toEqual({ min: 1000, max: 1_000_000 });
  expect(logBounds([1000, 999_999])).toEqual({ min: 100, max: 10_000_000 });
});
