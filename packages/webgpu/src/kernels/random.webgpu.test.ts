import { it } from 'vitest';
import { describeKernel, scalarInput } from '../testing/kernelHarness.js';

describeKernel('random', ({ check }) => {
  it('draws bit for bit what the reference draws', async () => {
    for (const [seed = 0, step = 0, stream = 0] of [
      [0, 0, 0],
      [42, 7, 3],
      [4294967295, 4294967295, 123456789],
    ]) {
      await check(
        {
          op: 'random',
          attrs: { shape: [3, 67], stream },
          inputs: [scalarInput(seed, 'u32'), scalarInput(step, 'u32')],
        },
        { c: 0, magnitude: 1 },
      );
    }
  });
});
