import { expect, test } from 'vitest';
import { frequenciesAt } from './rotaryScaling.js';

const frequencies = (options: Parameters<typeof frequenciesAt>[0], length = 16): readonly number[] =>
  frequenciesAt(options, length).frequencies;

function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  got.forEach((value, at) => expect(Math.abs(value / (want[at] ?? NaN) - 1)).toBeLessThan(1e-6));
}

test('θ^(−2i/size)', () => {
  expectClose(frequencies({ size: 8, theta: 10_000 }), [1, 0.1, 0.01, 0.001]);
});

test('linear scaling slows every pair', () => {
  expectClose(
    frequencies({ size: 8, theta: 10_000, scaling: { type: 'linear', factor: 4 } }),
    [0.25, 0.025, 0.0025, 0.00025],
  );
});

test('llama3 scaling keeps short waves, slows long ones, and blends between (values of transformers)', () => {
  const scaling = {
    type: 'llama3',
    factor: 4,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalMaxPositions: 32,
  } as const;
  // Wavelengths 6.3, 135, 2916: short of 32/4; beyond 32; beyond 32.
  expectClose(frequencies({ size: 6, theta: 10_000, scaling }), [1, 10_000 ** (-1 / 3) / 4, 10_000 ** (-2 / 3) / 4]);
  // Wavelength 19.87, between 8 and 32: weight (32/λ − 1)/3.
  const between = 10 ** -0.5;
  const weight = ((32 * between) / (2 * Math.PI) - 1) / 3;
  expectClose(frequencies({ size: 4, theta: 10, scaling }), [1, ((1 - weight) * between) / 4 + weight * between]);
});

test('dynamic scaling raises θ beyond the native length, and only there', () => {
  const scaling = { type: 'dynamic', factor: 2, nativePositions: 16 } as const;
  expectClose(frequencies({ size: 4, theta: 100, scaling }, 16), [1, 0.1]);
  // θ·(2·24/16 − 1)^(4/2) = 400
  expectClose(frequencies({ size: 4, theta: 100, scaling }, 24), [1, 1 / 20]);
  expect(frequenciesAt({ size: 4, theta: 100, scaling }, 24).key).not.toBe(
    frequenciesAt({ size: 4, theta: 100, scaling }, 25).key,
  );
});

test('yarn keeps pairs that turn often over the original length, slows those that do not, with a ramp between', () => {
  const scaling = {
    type: 'yarn',
    factor: 4,
    originalMaxPositions: 64,
    attentionFactor: 1.1,
    betaFast: 8,
    betaSlow: 1,
    truncate: true,
  } as const;
  // Rotations of pair i over 64 positions: 64/2π·10^(−i/2); 8 at pair 0.21 (→ 0) and 1 at pair 2.02 (→ 3).
  const found = frequenciesAt({ size: 8, theta: 100, scaling }, 16);
  expect(found.attentionFactor).toBe(1.1);
  expectClose(
    found.frequencies,
    [0, 1, 2, 3].map((i) => 10 ** (-i / 2) * (i / 3 / 4 + (1 - i / 3))),
  );
  const exact = frequenciesAt({ size: 8, theta: 100, scaling: { ...scaling, truncate: false } }, 16).frequencies;
  expect(exact).not.toEqual(found.frequencies);
});

test('longrope divides each pair by its own factor, of one list or the other', () => {
  const scaling = {
    type: 'longrope',
    shortFactors: [1, 2],
    longFactors: [3, 5],
    originalMaxPositions: 8,
    attentionFactor: 1.2,
  } as const;
  expectClose(frequencies({ size: 4, theta: 100, scaling }, 8), [1, 0.05]);
  expectClose(frequencies({ size: 4, theta: 100, scaling }, 9), [1 / 3, 0.02]);
});
