import { it } from 'vitest';
import { describeKernel, given, randomInput } from '../testing/kernelHarness.js';

describeKernel('rope', ({ check }) => {
  it('rotates heads forth and back, and lets the rest pass', async () => {
    for (const [heads = 1, size = 2, half = 1] of [
      [1, 2, 1],
      [3, 6, 3],
      [2, 10, 3],
      [2, 64, 32],
    ]) {
      for (const inverse of [false, true]) {
        const positions = given([0, 3, 10, 2, 2, 7], [2, 3], 'i32');
        const inputs = [
          randomInput([2, 3, heads, size], 1),
          randomInput([11, half], 2),
          randomInput([11, half], 3),
          positions,
        ];
        await check({ op: 'rope', attrs: { inverse }, inputs }, { c: 2, magnitude: 2 });
        await check({ op: 'rope', attrs: { inverse }, inputs, inPlace: [[0, 0]] }, { c: 2, magnitude: 2 });
      }
    }
  });
});
