import { expect, it } from 'vitest';
import { linearAxis, logAxis, shortCount, tightAxis } from './axis.js';

const range = [0, 100] as const;

it('gives values round bounds with room on both sides', () => {
  const axis = linearAxis([31, 52], { range });
  expect(axis.ticks.map(axis.format)).toEqual(['25', '30', '35', '40', '45', '50', '55']);
  expect([axis.at(25), axis.at(55)]).toEqual([0, 100]);
  expect(linearAxis([0.05, 2], { range, floor: 0 }).ticks[0]).toBe(0);
  // One value, and none at all.
  const single = linearAxis([3], { range });
  expect(single.at(3)).toBeGreaterThan(20);
  expect(single.at(3)).toBeLessThan(80);
  expect(linearAxis([], { range }).ticks).toContain(0.2);
});

it('ends at the values where it is tight', () => {
  const axis = tightAxis([1, 64], { range });
  expect([axis.at(1), axis.at(64), axis.ticks[0]]).toEqual([0, 100, 10]);
});

it('puts ticks of a logarithmic axis at powers of ten, and between them where there are few', () => {
  expect(logAxis([4e3, 3e6], { range }).ticks).toEqual([1e4, 1e5, 1e6]);
  expect(logAxis([12e3, 575e3], { range }).ticks).toEqual([1e4, 2e4, 5e4, 1e5, 2e5, 5e5]);
  expect(logAxis([120, 400], { range }).ticks).toEqual([100, 200, 500]);
  expect(logAxis([1e-9, 1e3], { range }).ticks).toEqual([1e-9, 1e-6, 1e-3, 1, 1e3]);
  expect(logAxis([], { range }).at(10)).toBe(100);
});

it('shortens counts', () => {
  expect([7, 1e3, 2e6, 5e9].map(shortCount)).toEqual(['7', '1k', '2M', '5B']);
});
