import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import { normal, runOp, value, seedNumbers } from './testing.js';

seedNumbers();

const number = (x: number): ReturnType<typeof value> => value([], [x]);

describe.each([1, 2])('sampleThreshold on %i threads', (threads) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend({ threads })));
  afterAll(() => backend.dispose());

  async function check(
    x: ReturnType<typeof value>,
    [temperature, k, p, m]: readonly [number, number, number, number],
  ): Promise<void> {
    const { outputs, expected } = await runOp(
      [backend, 'sampleThreshold'],
      [x, number(temperature), number(k), number(p), number(m)],
      {},
    );
    // min-p's threshold is a logarithm; the others' are elements of the row.
    outputs[0]?.forEach((got, row) =>
      expect([k, p, m, Math.abs(got - (expected[0]?.[row] ?? NaN))]).toEqual([
        k,
        p,
        m,
        m > 0 ? expect.closeTo(0, 5) : 0,
      ]),
    );
  }

  test('top-k, top-p, min-p and all of them', async () => {
    for (const shape of [
      [1, 1],
      [3, 7],
      [2, 64],
      [5, 1031],
    ]) {
      for (const settings of [
        [1, 0, 1, 0],
        [1, 1, 1, 0],
        [0.7, 5, 1, 0],
        [1, 2000, 1, 0],
        [1, 0, 0.9, 0],
        [2.5, 0, 0.05, 0],
        [1, 0, 1, 0.1],
        [0.5, 40, 0.8, 0.02],
        [0, 3, 1, 0],
      ] as const)
        await check(normal(shape), settings);
    }
  });

  test('equals stay together, extremes and both zeros', async () => {
    await check(value([1, 6], [1, 3, 3, 3, 2, -1]), [1, 2, 1, 0]);
    await check(value([1, 6], [1, 3, 3, 3, 2, -1]), [1, 0, 0.2, 0]);
    await check(value([2, 4], [0, 0, 0, 0, -3e38, 3e38, -2, 5]), [1, 2, 0.5, 0]);
    await check(value([1, 4], [-50, -60, -70, -1e4]), [1, 3, 0.999, 0]);
    await check(value([1, 3], [7, 7, 7]), [1, 1, 0.1, 1]);
  });
});
