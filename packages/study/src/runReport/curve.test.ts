import { expect, it } from 'vitest';
import { Curve } from './curve.js';

function curveThrough(values: readonly (number | null)[]): Curve {
  const curve = new Curve();
  for (const [at, value] of values.entries()) curve.add(at + 1, value);
  return curve;
}

it('is what it was given while it is short, in pieces where a value is missing', () => {
  const curve = curveThrough([3, 2, null, NaN, 4, 1]);
  expect(curve.segments()).toEqual([
    [
      { step: 1, value: 3 },
      { step: 2, value: 2 },
    ],
    [
      { step: 5, value: 4 },
      { step: 6, value: 1 },
    ],
  ]);
  expect([curve.missing, curve.sum, curve.last?.value]).toEqual([2, 10, 1]);
  expect(curveThrough([null]).isEmpty).toBe(true);
  expect(curveThrough([]).segments()).toEqual([]);
});

it('keeps bounded points of a hundred thousand: each spike, the last value and the sum', () => {
  const values = Array.from({ length: 100_000 }, (_, at): number => (at % 2 === 0 ? 1 : 2));
  values[777] = 1000;
  values[50_001] = -50;
  const curve = curveThrough(values);
  const [points = []] = curve.segments();
  expect(points.length).toBeGreaterThan(200);
  expect(points.length).toBeLessThanOrEqual(801);
  expect(points).toContainEqual({ step: 778, value: 1000 });
  expect(points).toContainEqual({ step: 50_002, value: -50 });
  expect(points.at(-1)).toEqual({ step: 100_000, value: 2 });
  expect(points.map(({ step }) => step)).toEqual(points.map(({ step }) => step).sort((a, b) => a - b));
  expect(curve.sum).toBe(values.reduce((a, b) => a + b));
});

it('is smoothed by a mean or a median around each step, which is shorter at its ends', () => {
  const curve = curveThrough([1, 2, 3, 4, 105]);
  expect(curve.smoothed(3)[0]?.map(({ value }) => value)).toEqual([1.5, 2, 3, 112 / 3, 54.5]);
  expect(curve.smoothed(3, 'median')[0]?.map(({ value }) => value)).toEqual([1, 2, 3, 4, 4]);
  // Means of buckets: a straight line stays one.
  const long = curveThrough(Array.from({ length: 5000 }, (_, at) => at + 1));
  const [smooth = []] = long.smoothed(100);
  const middle = smooth[Math.floor(smooth.length / 2)];
  expect(middle?.value).toBeCloseTo(middle?.step ?? 0, 6);
});
