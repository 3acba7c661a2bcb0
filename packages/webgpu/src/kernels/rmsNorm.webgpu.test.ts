import { it } from 'vitest';
import { describeKernel, randomInput, rowTiers } from '../testing/kernelHarness.js';

const shapes = [
  [1, 1],
  [3, 5],
  [2, 3, 67],
  [70, 192],
  [3, 1031],
];

describeKernel(
  'rmsNorm and its gradients',
  ({ check }) => {
    it.each(shapes.map((shape) => ({ shape })))('normalizes rows of $shape', async ({ shape }) => {
      const width = shape.at(-1) ?? 1;
      const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const attrs = { epsilon: 1e-5 };
      const [x, w, g] = [randomInput(shape, 1), randomInput([width], 2), randomInput(shape, 3)];
      // Factors reach 2 here; a row's terms add up over its width once each.
      await check({ op: 'rmsNorm', attrs, inputs: [x, w] }, { c: 8 + Math.sqrt(width), magnitude: 2 });
      await check({ op: 'rmsNormBackward', attrs, inputs: [x, w, g] }, { c: 16 + Math.sqrt(width), magnitude: 4 });
      await check(
        { op: 'rmsNormBackward', attrs, inputs: [x, w, g], inPlace: [[2, 0]] },
        { c: 16 + Math.sqrt(width), magnitude: 4 },
      );
      const inputs = [x, w, g, randomInput(shape, 4)];
      await check(
        { op: 'rmsNormBackward', attrs: { ...attrs, addend: true }, inputs, inPlace: [[3, 0]] },
        { c: 16 + Math.sqrt(width), magnitude: 5 },
      );
      await check(
        { op: 'rmsNormWeightGradient', attrs, inputs: [x, g] },
        { c: 8 + Math.sqrt(width), magnitude: 2 * rows },
      );
    });
  },
  rowTiers,
);
