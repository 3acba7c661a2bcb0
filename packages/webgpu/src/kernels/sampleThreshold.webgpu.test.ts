import { expect, it } from 'vitest';
import type { TestInput } from '../testing/kernelHarness.js';
import { describeKernel, given, randomInput, rowTiers, scalarInput } from '../testing/kernelHarness.js';

describeKernel(
  'sampleThreshold',
  ({ run }) => {
    async function check(
      x: TestInput,
      [temperature, k, p, m]: readonly [number, number, number, number],
    ): Promise<void> {
      const { actual, expected } = await run({
        op: 'sampleThreshold',
        attrs: {},
        inputs: [x, scalarInput(temperature), scalarInput(k), scalarInput(p), scalarInput(m)],
      });
      // min-p's threshold is a logarithm; the others' are elements of the row.
      actual[0]?.forEach((got, row) =>
        expect([k, p, m, Math.abs(got - (expected[0]?.[row] ?? NaN))]).toEqual([
          k,
          p,
          m,
          m > 0 ? expect.closeTo(0, 4) : 0,
        ]),
      );
    }

    it('finds what top-k, top-p, min-p and all of them leave', async () => {
      for (const [rows, width] of [
        [1, 1],
        [3, 7],
        [2, 64],
        [2, 1031],
      ] as const) {
        for (const settings of [
          [1, 0, 1, 0],
          [0.1, 5, 1, 0],
          [1, 2000, 1, 0],
          [0.2, 0, 0.9, 0],
          [0.5, 0, 0.05, 0],
          [1, 0, 1, 0.3],
          [0.3, 40, 0.8, 0.02],
          [0, 3, 1, 0],
        ] as const)
          await check(randomInput([rows, width], rows + width), settings);
      }
    });

    it('keeps equals together, and takes extremes and both zeros', async () => {
      await check(given([1, 3, 3, 3, 2, -1], [1, 6]), [1, 2, 1, 0]);
      await check(given([1, 3, 3, 3, 2, -1], [1, 6]), [1, 0, 0.2, 0]);
      await check(given([0, 0, 0, 0, -3e38, 3e38, -2, 5], [2, 4]), [1, 2, 0.5, 0]);
      await check(given([-50, -60, -70, -1e4], [1, 4]), [1, 3, 0.999, 0]);
      await check(given([7, 7, 7], [1, 3]), [1, 1, 0.1, 1]);
    });
  },
  rowTiers,
);
