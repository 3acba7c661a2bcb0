import { expect, test } from 'vitest';
import { ErrorStatistics } from './errorStatistics.js';

test('counts what moved, over pieces and tensors', () => {
  const statistics = new ErrorStatistics();
  statistics.add(Float32Array.of(1, -2), Float32Array.of(1.5, -2));
  const other = new ErrorStatistics();
  other.add(Float32Array.of(4, 0), Float32Array.of(3, 0));
  statistics.join(other);
  const { elements, meanAbsolute, maxAbsolute, meanRelative, rootMeanSquare } = statistics.result();
  expect([elements, meanAbsolute, maxAbsolute, rootMeanSquare]).toEqual([4, 0.375, 1, Math.sqrt(1.25 / 4)]);
  expect(meanRelative).toBeCloseTo((0.5 + 0.25) / 4, 7);
});

test('nothing compared is no error, and a NaN is not lost', () => {
  const statistics = new ErrorStatistics();
  expect(statistics.result()).toEqual({
    elements: 0,
    meanAbsolute: 0,
    maxAbsolute: 0,
    meanRelative: 0,
    rootMeanSquare: 0,
  });
  statistics.add(Float32Array.of(1, 1), Float32Array.of(NaN, 1));
  expect(statistics.result().maxAbsolute).toBeNaN();
});
