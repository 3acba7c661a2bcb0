import { evaluateReference, tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { RotaryTable } from './rotary.js';

/** Radians per position of each pair, out of the table's row for position 1. */
async function frequencies(options: ConstructorParameters<typeof RotaryTable>[0]): Promise<number[]> {
  const table = new RotaryTable(options);
  const [cosine = [], sine = []] = await evaluateReference([table.cosine, table.sine]);
  const half = options.size / 2;
  return Array.from({ length: half }, (_, i) => Math.atan2(sine[half + i] ?? NaN, cosine[half + i] ?? NaN));
}

function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  got.forEach((value, at) => expect(Math.abs(value / (want[at] ?? NaN) - 1)).toBeLessThan(1e-6));
}

test('θ^(−2i/size)', async () => {
  expectClose(await frequencies({ size: 8, theta: 10_000, maxPositions: 2 }), [1, 0.1, 0.01, 0.001]);
});

test('linear scaling slows every pair', async () => {
  expectClose(await frequencies({ size: 8, theta: 10_000, maxPositions: 2, scaling: { type: 'linear', factor: 4 } }), [0.25, 0.025, 0.0025, 0.00025]);
});

test('llama3 scaling keeps short waves, slows long ones, and blends between (values of transformers)', async () => {
  const scaling = { type: 'llama3', factor: 4, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 32 } as const;
  // Wavelengths 6.3, 135, 2916: short of 32/4; beyond 32; beyond 32.
  expectClose(await frequencies({ size: 6, theta: 10_000, maxPositions: 2, scaling }), [1, 10_000 ** (-1 / 3) / 4, 10_000 ** (-2 / 3) / 4]);
  // Wavelength 19.87, between 8 and 32: weight (32/λ − 1)/3.
  const between = 10 ** -0.5;
  const weight = ((32 * between) / (2 * Math.PI) - 1) / 3;
  expectClose(await frequencies({ size: 4, theta: 10, maxPositions: 2, scaling }), [1, ((1 - weight) * between) / 4 + weight * between]);
});

test('the table turns pairs of the two halves, and is exact far out', async () => {
  const table = new RotaryTable({ size: 4, theta: 100, maxPositions: 512 });
  const turned = table.apply(tensor([1, 2, 3, 4], [1, 1, 1, 4]), tensor(Int32Array.of(511), [1, 1]));
  const [values = []] = await evaluateReference([turned]);
  const [a, b] = [511, 51.1];
  const want = [Math.cos(a) - 3 * Math.sin(a), 2 * Math.cos(b) - 4 * Math.sin(b), 3 * Math.cos(a) + Math.sin(a), 4 * Math.cos(b) + 2 * Math.sin(b)];
  want.forEach((value, at) => expect(Math.abs((values[at] ?? NaN) - value)).toBeLessThan(1e-6));
});
