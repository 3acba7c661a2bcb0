import { it } from 'vitest';
import { describeKernel, given, randomInput } from '../testing/kernelHarness.js';

const exact = { c: 0, magnitude: 1 };

describeKernel('argmax', ({ check }) => {
  it('finds the largest element of each row', async () => {
    for (const [rows = 1, width = 1] of [
      [1, 1],
      [3, 7],
      [5, 64],
      [2, 1031],
    ])
      await check({ op: 'argmax', attrs: {}, inputs: [randomInput([rows, width], width)] }, exact);
  });

  it('takes the lowest index among equals', async () => {
    const row = Array.from({ length: 300 }, () => 0);
    for (const at of [77, 78, 141, 299]) row[at] = 5;
    await check({ op: 'argmax', attrs: {}, inputs: [given(row, [1, 300])] }, exact);
    await check(
      {
        op: 'argmax',
        attrs: {},
        inputs: [
          given(
            Array.from({ length: 130 }, () => -1),
            [130],
          ),
        ],
      },
      exact,
    );
  });
});
