import { it } from 'vitest';
import { describeKernel, randomInput, rowTiers } from '../testing/kernelHarness.js';

const shapes = [
  [3, 5],
  [2, 3, 67],
  [70, 192],
  [3, 1031],
];

describeKernel(
  'layerNorm and its gradients',
  ({ check }) => {
    it.each(shapes.map((shape) => ({ shape })))('normalizes rows of $shape', async ({ shape }) => {
      const width = shape.at(-1) ?? 1;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const attrs = { epsilon: 1e-5 };
      const [x, w, b, g] = [
        randomInput(shape, 1),
        randomInput([width], 2),
        randomInput([width], 3),
        randomInput(shape, 4),
      ];
      // Factors reach 2 here; a row's terms add up over its width, for the mean and once more for the squares.
      await check({ op: 'layerNorm', attrs, inputs: [x, w, b] }, { c: 16 + 2 * Math.sqrt(width), magnitude: 4 });
      await check(
        { op: 'layerNormBackward', attrs, inputs: [x, w, g] },
        { c: 32 + 2 * Math.sqrt(width), magnitude: 8 },
      );
      await check(
        { op: 'layerNormBackward', attrs, inputs: [x, w, g], inPlace: [[2, 0]] },
        { c: 32 + 2 * Math.sqrt(width), magnitude: 8 },
      );
      await check(
        { op: 'layerNormWeightGradient', attrs, inputs: [x, g] },
        { c: 16 + 2 * Math.sqrt(width), magnitude: 4 * rows },
      );
    });

    it('keeps the squares of rows far from zero', async () => {
      const x = randomInput([4, 96], 5);
      const far = { ...x, data: x.data.map((value) => value + 1000) };
      // x itself has 2⁻²⁴·1000 left of what the mean takes away.
      await check(
        { op: 'layerNorm', attrs: { epsilon: 1e-5 }, inputs: [far, randomInput([96], 6), randomInput([96], 7)] },
        { c: 4000, magnitude: 2 },
      );
    });
  },
  rowTiers,
);
