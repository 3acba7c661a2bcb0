import { momentMaps } from '@lowrank/tensor/op';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '@lowrank/tensor';
import { createCpuBackend } from '../backend.js';
import { integers, normal, runOp, value, worstError, seedNumbers } from './testing.js';
import type { TestTensor } from './testing.js';

seedNumbers();

const attrs = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const inPlace = [
  [0, 0],
  [2, 1],
  [3, 2],
  [4, 3],
] as const;
let backend: Backend;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
});
afterAll(() => backend.dispose());

function step(size: number, clip: number): TestTensor[] {
  const [lines, blocks] = [Math.ceil(size / 64), Math.ceil(size / 256)];
  const codes = (): TestTensor => value([size], integers([size], 256).data, 'u8');
  const scales = value([blocks, 2], Array.from(normal([2 * blocks]).data, Math.abs));
  const table = value(
    [lines, 2],
    Array.from({ length: 2 * lines }, (_, i) => (i % 2 === 0 ? 1 + (i % 7) : 0.1)),
  );
  return [
    normal([size]),
    normal([size]),
    codes(),
    codes(),
    scales,
    table,
    value([2, 256], momentMaps()),
    ...[1e-3, 2e-3, 1.5, clip].map((x) => value([], [x])),
  ];
}

test('parameters, codes and scales, in place and apart', async () => {
  // The largest takes the way by starts, the others the search by halving.
  for (const size of [1, 67, 256, 1027, 5003]) {
    for (const options of [{}, { inPlace }]) {
      const { outputs, expected } = await runOp([backend, 'adamw8bit'], step(size, 0.5), attrs, options);
      [0, 3].forEach((at) =>
        expect(
          worstError(
            outputs[at] ?? new Float64Array(),
            expected[at] ?? new Float64Array(),
            (i) => 4 + Math.abs(expected[at]?.[i] ?? 0),
          ),
        ).toBeLessThanOrEqual(64),
      );
      [1, 2].forEach((at) => {
        // A moment halfway between two places may go to either.
        const differences = (expected[at] ?? new Float64Array()).map((code, i) =>
          Math.abs(code - (outputs[at]?.[i] ?? NaN)),
        );
        expect(Math.max(...differences)).toBeLessThanOrEqual(1);
        expect(differences.filter((difference) => difference > 0).length).toBeLessThanOrEqual(1 + size / 200);
      });
    }
  }
});

test('a factor that is not finite leaves everything as it was', async () => {
  for (const clip of [NaN, -Infinity]) {
    for (const options of [{}, { inPlace }]) {
      const inputs = step(300, clip);
      const { outputs } = await runOp([backend, 'adamw8bit'], inputs, attrs, options);
      [0, 2, 3, 4].forEach((input, output) =>
        expect([...(outputs[output] ?? [])]).toEqual([...(inputs[input]?.data ?? [])]),
      );
    }
  }
});
