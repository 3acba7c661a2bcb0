import { expect, it } from 'vitest';
import { describeKernel, expectWithin, randomInput, scalarInput } from '../testing/kernelHarness.js';
import type { KernelCase, TestInput } from '../testing/kernelHarness.js';

function step(size: number, clip: TestInput): KernelCase {
  const positive = randomInput([size], 4);
  const table = new Float32Array(2 * Math.ceil(size / 64)).map((_, i) => (i % 2 === 0 ? 1 + i : 0.1));
  return {
    op: 'adamw',
    attrs: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    inputs: [
      randomInput([size], 1),
      randomInput([size], 2),
      randomInput([size], 3),
      { ...positive, data: positive.data.map(Math.abs) as Float32Array },
      { shape: [table.length / 2, 2], dtype: 'f32', data: table },
      ...[1e-3, 2e-3, 1.5].map((value) => scalarInput(value)),
      clip,
    ],
    inPlace: [
      [0, 0],
      [2, 1],
      [3, 2],
    ],
  };
}

describeKernel('adamw', ({ check, run }) => {
  it('updates parameters and state in place, block by block', async () => {
    for (const size of [1, 67, 1000]) await check(step(size, scalarInput(0.5)), { c: 16, magnitude: 4 });
  });

  it('takes a clip factor that was computed', async () => {
    await check(step(67, { ...scalarInput(0.25), scalar: false }), { c: 16, magnitude: 4 });
  });

  it('leaves everything as it is when the factor is not finite', async () => {
    for (const clip of [NaN, Infinity, -Infinity]) {
      const test = step(67, scalarInput(clip));
      const { actual } = await run(test);
      [0, 2, 3].forEach((input, output) =>
        expect([...(actual[output] ?? [])]).toEqual([...(test.inputs[input]?.data ?? [])]),
      );
      expectWithin(actual[0], Float64Array.from(test.inputs[0]?.data ?? []), { c: 0, magnitude: 1 });
    }
  });
});
