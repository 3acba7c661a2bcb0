import { it } from 'vitest';
import { describeKernel, given, randomInput } from '../testing/kernelHarness.js';

const exact = { c: 0, magnitude: 1 };
const special = [
  0,
  -0,
  1,
  -1,
  65504,
  -65504,
  65519.996,
  65520,
  1e-8,
  6.1e-5,
  5.96e-8,
  2.98e-8,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  3.0e38,
  Infinity,
  -Infinity,
  0.1,
];

describeKernel('cast', ({ check, run }) => {
  it('rounds to nearest even going to 16 bits', async () => {
    for (const dtype of ['f16', 'bf16'] as const) {
      const { actual, expected } = await run({ op: 'cast', attrs: { dtype }, inputs: [given(special)] });
      // The reference leaves the rounding to the storage: round its result the same way.
      const { fromNumbers } = await import('@lowrank/tensor');
      const { toFloat64 } = await import('@lowrank/tensor/op');
      const rounded = toFloat64(fromNumbers(expected[0] ?? [], dtype), dtype);
      for (let i = 0; i < special.length; i++)
        if (!Object.is(actual[0]?.[i], rounded[i]))
          throw new Error(`${dtype} of ${special[i]}: ${actual[0]?.[i]}, expected ${rounded[i]}`);
    }
  });

  it('widens 16-bit storage exactly', async () => {
    for (const dtype of ['f16', 'bf16'] as const) {
      await check({ op: 'cast', attrs: { dtype: 'f32' }, inputs: [randomInput([7, 34], 1, dtype)] }, exact);
      await check({ op: 'cast', attrs: { dtype: 'f32' }, inputs: [randomInput([5], 1, dtype)] }, exact);
    }
  });

  it('goes to integers toward zero, and back', async () => {
    await check({ op: 'cast', attrs: { dtype: 'i32' }, inputs: [given([0.9, -0.9, 3.5, -1e6, 7])] }, exact);
    await check({ op: 'cast', attrs: { dtype: 'u32' }, inputs: [given([0.9, 3.5, 1e6])] }, exact);
    await check({ op: 'cast', attrs: { dtype: 'f32' }, inputs: [given([-5, 0, 77], [3], 'i32')] }, exact);
    await check({ op: 'cast', attrs: { dtype: 'u32' }, inputs: [given([5, 0, 77], [3], 'i32')] }, exact);
  });
});
