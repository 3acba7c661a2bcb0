import { expect, test } from 'vitest';
import { Rng, threefry, threefryUniform } from './rng.js';

test('Threefry-2x32-20 gives the known answers of Random123', () => {
  const hex = ([a, b]: readonly [number, number]): string[] => [
    a.toString(16).padStart(8, '0'),
    b.toString(16).padStart(8, '0'),
  ];
  expect(hex(threefry([0, 0], [0, 0]))).toEqual(['6b200159', '99ba4efe']);
  expect(hex(threefry([0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff]))).toEqual(['1cb996fc', 'bb002be7']);
  expect(hex(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]))).toEqual(['c4923a9c', '483df7a0']);
});

test('uniform draws fill [0, 1) evenly and are exact in f32', () => {
  let total = 0;
  for (let i = 0; i < 20_000; i++) {
    const value = threefryUniform([1, 2], [3, i]);
    expect(Math.fround(value)).toBe(value);
    expect(value).toBeLessThan(1);
    total += value;
  }
  expect(Math.abs(total / 20_000 - 0.5)).toBeLessThan(0.01);
});

test('a stream is its seed’s alone, and normal draws have mean 0 and variance 1', () => {
  expect(new Rng(5, 1).uniform()).toBe(new Rng(5, 1).uniform());
  expect(new Rng(5, 1).uniform()).not.toBe(new Rng(5, 2).uniform());
  const rng = new Rng(9);
  const draws = Array.from({ length: 20_000 }, () => rng.normal());
  const mean = draws.reduce((a, b) => a + b) / draws.length;
  const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
  expect(Math.abs(mean)).toBeLessThan(0.02);
  expect(Math.abs(variance - 1)).toBeLessThan(0.03);
  expect(rng.integer(7)).toBeLessThan(7);
});
