import { Rng } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { loftqInit } from './loftq.js';
import type { LoftqOptions } from './loftq.js';

const rng = new Rng(9);
const random = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());
/** A coarse quantization: thirds. */
const thirds = (weight: Float32Array): Float32Array => weight.map((value) => Math.round(value * 3) / 3);
const options = { rows: 30, columns: 21, rank: 5, scaling: 1, roundTrip: thirds } as const;

/** ‖W − (Q + s·B·A)‖ */
function loss(weight: Float32Array, given: LoftqOptions): number {
  const { rows, columns, rank, scaling } = given;
  const { quantized, a, b } = loftqInit(weight, given);
  let sum = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      let value = quantized[i * columns + j] ?? NaN;
      for (let k = 0; k < rank; k++) value += scaling * (b[i * rank + k] ?? NaN) * (a[k * columns + j] ?? NaN);
      sum += ((weight[i * columns + j] ?? NaN) - value) ** 2;
    }
  }
  return Math.sqrt(sum);
}

test('the adapter takes up what quantization loses, and more with each alternation', () => {
  const weight = random(630);
  const plain = Math.sqrt(thirds(weight).reduce((sum, value, i) => sum + (value - (weight[i] ?? NaN)) ** 2, 0));
  const [one, five] = [loss(weight, options), loss(weight, { ...options, iterations: 5 })];
  expect(one).toBeLessThan(0.85 * plain);
  expect(five).toBeLessThan(one);
});

test('the base is what was quantized last: again it stays as it is', () => {
  const { quantized } = loftqInit(random(630), { ...options, iterations: 3 });
  expect(thirds(quantized)).toEqual(quantized);
});

test('the scaling is taken off A and B alike, so that the sum is the same', () => {
  const weight = random(630);
  for (const scaling of [0.25, 2, 16])
    expect(loss(weight, { ...options, scaling, iterations: 2 })).toBeCloseTo(
      loss(weight, { ...options, iterations: 2 }),
      3,
    );
  const [one, four] = [1, 4].map((scaling) => loftqInit(weight, { ...options, scaling }));
  one?.a.forEach((value, i) => expect(four?.a[i]).toBeCloseTo(value / 2, 6));
});

test('a layer narrower than the rank', () => {
  const given = { rows: 30, columns: 2, rank: 5, scaling: 1, roundTrip: thirds };
  const weight = random(60);
  const { a, b } = loftqInit(weight, given);
  expect([a.length, b.length, a.subarray(4).every((value) => value === 0)]).toEqual([10, 150, true]);
  expect(loss(weight, given)).toBeLessThan(1e-5);
});

test('a large layer goes through the randomized decomposition, the same for a seed', () => {
  const given = { rows: 300, columns: 270, rank: 2, scaling: 1, roundTrip: thirds, seed: 5 };
  const weight = random(300 * 270);
  const first = loftqInit(weight, given);
  expect(loftqInit(weight, given)).toEqual(first);
  expect(first.a.some((value) => value !== 0)).toBe(true);
});

test('settings that make no sense are refused', () => {
  for (const iterations of [0, 1.5, -2])
    expect(() => loftqInit(random(630), { ...options, iterations })).toThrow(/iterations/);
  for (const scaling of [0, -1, NaN, Infinity])
    expect(() => loftqInit(random(630), { ...options, scaling })).toThrow(/scaling/);
  expect(() => loftqInit(random(630).fill(NaN), options)).toThrow(/finite/);
});
