import { it } from 'vitest';
import { describeKernel, randomInput } from '../testing/kernelHarness.js';

const exact = { c: 0, magnitude: 1 };

describeKernel('permute, slice, pad and concat', ({ check }) => {
  it('permutes axes', async () => {
    await check({ op: 'permute', attrs: { axes: [1, 0] }, inputs: [randomInput([5, 7], 1)] }, exact);
    await check({ op: 'permute', attrs: { axes: [0, 2, 1, 3] }, inputs: [randomInput([2, 3, 5, 4], 1)] }, exact);
    await check({ op: 'permute', attrs: { axes: [3, 1, 0, 2] }, inputs: [randomInput([2, 3, 5, 4], 1)] }, exact);
  });

  it('slices a block', async () => {
    await check(
      { op: 'slice', attrs: { starts: [1, 2, 0], sizes: [2, 3, 5] }, inputs: [randomInput([4, 7, 5], 1)] },
      exact,
    );
    await check({ op: 'slice', attrs: { starts: [6], sizes: [1] }, inputs: [randomInput([7], 1)] }, exact);
  });

  it('pads with zeros', async () => {
    await check(
      { op: 'pad', attrs: { before: [1, 0, 2], after: [0, 3, 1] }, inputs: [randomInput([2, 3, 5], 1)] },
      exact,
    );
  });

  it('concatenates any number of inputs', async () => {
    await check(
      {
        op: 'concat',
        attrs: { axis: 1 },
        inputs: [1, 4, 2, 1, 3, 1, 1, 2, 5, 1].map((size, at) => randomInput([3, size, 2], at)),
      },
      exact,
    );
    await check({ op: 'concat', attrs: { axis: 0 }, inputs: [randomInput([3], 1), randomInput([5], 2)] }, exact);
  });
});
