import { describe, expect, it } from 'vitest';
import { differenceOf, spreadOf, studentQuantile } from './statistics.js';

describe('statistics', () => {
  it('knows mean and standard deviation of a sample', () => {
    expect(spreadOf([2, 4, 4, 4, 5, 5, 7, 9])).toEqual({
      mean: 5,
      deviation: Math.sqrt(32 / 7),
      values: [2, 4, 4, 4, 5, 5, 7, 9],
    });
    expect(spreadOf([3]).deviation).toBeNull();
  });

  // scipy.stats.t.ppf(0.975, ν)
  it.each([
    [1, 12.706204736174694],
    [2, 4.302652729749462],
    [2.5, 3.5746548420036817],
    [4, 2.7764451051977987],
    [30, 2.0422724563012373],
    [1000, 1.9623390808264078],
  ])('t of %s degrees of freedom', (freedom, expected) => {
    expect(studentQuantile(freedom)).toBeCloseTo(expected, 6);
  });

  it('gives a difference its interval after Welch', () => {
    // scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    const difference = differenceOf(spreadOf([0.62, 0.6, 0.64]), spreadOf([0.58, 0.63, 0.55]));
    expect(difference?.mean).toBeCloseTo(0.0333333, 6);
    expect(difference?.low).toBeCloseTo(-0.0507479, 6);
    expect(difference?.high).toBeCloseTo(0.1174146, 6);
    expect(differenceOf(spreadOf([1]), spreadOf([1, 2]))).toBeUndefined();
    expect(differenceOf(spreadOf([2, 2]), spreadOf([1, 1]))).toEqual({ mean: 1, low: 1, high: 1 });
  });
});
