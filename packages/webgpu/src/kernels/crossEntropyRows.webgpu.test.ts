import { it } from 'vitest';
import { describeKernel, given, randomInput, rowTiers } from '../testing/kernelHarness.js';
import type { KernelCase, TestInput } from '../testing/kernelHarness.js';

function rows(count: number, width: number, scale: number): KernelCase {
  const logits = randomInput([count, width], width);
  const labels = Array.from({ length: count }, (_, i) => (i % 3 === 2 ? -100 : (i * 7) % width));
  const scaled: TestInput = { ...logits, data: logits.data.map((value) => value * scale) as Float32Array };
  return { op: 'crossEntropyRows', attrs: { gradient: true }, inputs: [scaled, given(labels, [count], 'i32')] };
}

// exp is allowed 3 + 2|x| ulp, so c takes the scale of the logits along.
describeKernel(
  'crossEntropyRows',
  ({ check }) => {
    it('gives loss and gradient of each row', async () => {
      for (const [count = 1, width = 1] of [
        [1, 1],
        [3, 5],
        [7, 67],
        [7, 68],
        [4, 1031],
      ])
        await check(rows(count, width, 4), { c: 40, magnitude: 4 + Math.log(width) });
    });

    it('smooths labels and holds the normalizer down', async () => {
      for (const [count = 1, width = 1] of [
        [1, 1],
        [7, 67],
        [7, 68],
        [4, 1032],
      ]) {
        const plain = rows(count, width, 4);
        for (const terms of [{ labelSmoothing: 0.1 }, { zLoss: 0.01 }, { labelSmoothing: 0.2, zLoss: 0.05 }]) {
          const smoothed = { ...plain, attrs: { gradient: true, ...terms }, inPlace: [[0, 1]] as const };
          await check(smoothed, { c: 80, magnitude: 8 + 2 * Math.log(width) });
        }
      }
    });

    it('keeps its head at large logits', async () => {
      await check(rows(5, 67, 300), { c: 40, magnitude: 300 });
    });

    it('keeps what little probability a confident row leaves to the others', async () => {
      const width = 4096;
      const logits = { ...randomInput([2, width], 1), data: new Float32Array(2 * width) };
      for (const row of [0, 1]) logits.data[row * width + 5] = 17;
      // 4,095·e⁻¹⁷ = 1.7e-4 of probability is the whole gradient at the label.
      await check(
        { op: 'crossEntropyRows', attrs: { gradient: true }, inputs: [logits, given([5, 5], [2], 'i32')] },
        { c: 40, magnitude: 17 / 4 },
      );
    });

    it('writes the gradient over the logits', async () => {
      await check({ ...rows(6, 131, 4), inPlace: [[0, 1]] }, { c: 40, magnitude: 9 });
    });

    it('gives the loss alone', async () => {
      const test = rows(6, 131, 4);
      const bound = { c: 40, magnitude: 9 };
      await check(
        { ...test, attrs: { gradient: false }, inPlace: [] },
        { ...bound, magnitude: Float64Array.from({ length: 6 }, (_, i) => (i === 0 ? 1e9 : 9)) },
      );
    });
  },
  rowTiers,
);
