import { expect, test } from 'vitest';
import { interleave, median, quantile, ratioOf, summarize, timed, timedWithCpu } from './statistics.mjs';

test('quantiles interpolate, need no order, and leave the values as they are', () => {
  const values = [5, 1, 4, 2, 3];
  expect(median(values)).toBe(3);
  expect(values).toEqual([5, 1, 4, 2, 3]);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([10, 20], 0.25)).toBe(12.5);
  expect(quantile([7], 0.9)).toBe(7);
  expect(quantile([3, 9, 6], 0)).toBe(3);
  expect(quantile([3, 9, 6], 1)).toBe(9);
  expect(quantile([100, 9, 20], 0.5)).toBe(20);
  expect(median([])).toBeNaN();
});

test('a summary holds median, quartiles and the best', () => {
  expect(summarize([4, 1, 2, 3, 5])).toEqual({ median: 3, low: 2, high: 4, best: 1, count: 5 });
});

test('a ratio is that of the medians; its spread is that of the rounds', () => {
  // A machine that is ten times slower in the third round: the rounds agree all the same.
  expect(ratioOf([1, 2, 10], [3, 6, 30])).toEqual({ ratio: 3, low: 3, high: 3, rounds: 3 });
  const { ratio, low, high } = ratioOf([2, 2, 2, 2, 2], [2, 4, 6, 8, 10]);
  expect([ratio, low, high]).toEqual([3, 2, 4]);
  expect(ratioOf([1], []).ratio).toBeNaN();
});

test('contenders take turns in an order that rotates, and warmup rounds are dropped', async () => {
  const order = [];
  const contender = (name) => ({ name, run: async () => order.push(name) });
  const results = await interleave(['a', 'b', 'c'].map(contender), { rounds: 3, warmup: 1 });
  expect(order.join('')).toBe('abcbcacababc');
  expect(results).toEqual({ a: [6, 8, 10], b: [4, 9, 11], c: [5, 7, 12] });
  expect(await interleave([], { rounds: 2 })).toEqual({});
});

test('a contender that fails ends the measurement with its error', async () => {
  const failing = { name: 'x', run: () => Promise.reject(new Error('no memory')) };
  await expect(interleave([failing], { rounds: 1 })).rejects.toThrow('no memory');
});

test('timed gives milliseconds', async () => {
  const run = timed(() => new Promise((resolve) => setTimeout(resolve, 20)));
  const milliseconds = await run();
  expect(milliseconds).toBeGreaterThan(15);
});

test('waiting takes time by the clock, not of the processor', async () => {
  const { wall, cpu } = await timedWithCpu(() => new Promise((resolve) => setTimeout(resolve, 200)))();
  expect(wall).toBeGreaterThan(150);
  expect(cpu).toBeGreaterThanOrEqual(0);
  expect(cpu).toBeLessThan(wall);
});
