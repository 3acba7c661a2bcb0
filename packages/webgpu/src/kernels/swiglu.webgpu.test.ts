import { it } from 'vitest';
import { describeKernel, given, randomInput } from '../testing/kernelHarness.js';

const wide = given([-90, -20, -1, 0, 1, 20, 90]);

describeKernel('swiglu and its gradient', ({ check }) => {
  it('gates', async () => {
    for (const gate of [randomInput([5, 13], 1), randomInput([5, 16], 1), wide]) {
      const up = randomInput(gate.shape, 2);
      await check({ op: 'swiglu', attrs: {}, inputs: [gate, up] }, { c: 8, magnitude: 90 });
      await check({ op: 'swiglu', attrs: {}, inputs: [gate, up], inPlace: [[1, 0]] }, { c: 8, magnitude: 90 });
    }
  });

  it('gives both gradients, also in place', async () => {
    for (const gate of [randomInput([5, 13], 1), randomInput([5, 16], 1), wide]) {
      const inputs = [gate, randomInput(gate.shape, 2), randomInput(gate.shape, 3)];
      await check({ op: 'swigluBackward', attrs: {}, inputs }, { c: 16, magnitude: 90 });
      await check(
        {
          op: 'swigluBackward',
          attrs: {},
          inputs,
          inPlace: [
            [2, 0],
            [1, 1],
          ],
        },
        { c: 16, magnitude: 90 },
      );
      const places = [0, 1, 2].map((at): [number, number] => [at, at]);
      const attrs = { forward: true };
      await check({ op: 'swigluBackward', attrs, inputs, inPlace: places }, { c: 16, magnitude: 90 });
    }
  });
});
