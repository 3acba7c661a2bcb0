import { fromNumbers } from '@lowrank/tensor';
import { toFloat64 } from '@lowrank/tensor/op';
import { expect, it } from 'vitest';
import type { TestInput } from '../testing/kernelHarness.js';
import { describeKernel, given, randomInput } from '../testing/kernelHarness.js';

const codes = (rows: number, width: number): TestInput =>
  given(
    Array.from({ length: rows * width }, (_, i) => ((i * 37) % 255) - 127),
    [rows, width],
    'i8',
  );
const exact = { c: 0, magnitude: 1 };
const ids = (count: number, rows: number): number[] => Array.from({ length: count }, (_, i) => (i * i * 3 + 1) % rows);

describeKernel('gatherRows', ({ check }) => {
  it('copies rows of tables in every encoding', async () => {
    for (const dtype of ['f32', 'f16', 'bf16', 'i8'] as const) {
      for (const [rows = 1, width = 1] of [
        [1, 1],
        [7, 5],
        [11, 64],
      ]) {
        await check(
          {
            op: 'gatherRows',
            attrs: {},
            inputs: [
              dtype === 'i8' ? codes(rows, width) : randomInput([rows, width], 1, dtype),
              given(ids(13, rows), [13], 'i32'),
            ],
          },
          exact,
        );
      }
    }
  });
});

describeKernel('scatterAddRows', ({ check }) => {
  it('adds rows that share an id in order, and leaves zeros elsewhere', async () => {
    for (const [rows = 1, width = 1, count = 1] of [
      [1, 1, 5],
      [7, 5, 40],
      [300, 64, 131],
    ]) {
      await check(
        {
          op: 'scatterAddRows',
          attrs: { rows },
          inputs: [randomInput([count, width], 1), given(ids(count, rows), [count], 'i32')],
        },
        { c: 4, magnitude: count },
      );
    }
  });
});

describeKernel('writeAt', ({ check, run }) => {
  const inputs = [randomInput([3, 9, 2, 5], 1), randomInput([3, 4, 2, 5], 2), given([0, 3, 7], [3], 'i32')];

  it('writes new rows into the cache itself', async () => {
    await check({ op: 'writeAt', attrs: {}, inputs, inPlace: [[0, 0]] }, exact);
  });

  it('copies a cache that must stay', async () => {
    await check({ op: 'writeAt', attrs: {}, inputs }, exact);
  });

  it.each([[[[0, 0]] as const], [[]]])('rounds to nearest even for a cache in f16, in place %j', async (inPlace) => {
    const cache = randomInput([3, 9, 2, 5], 1, 'f16');
    const { actual, expected } = await run({ op: 'writeAt', attrs: {}, inputs: [cache, ...inputs.slice(1)], inPlace });
    expect(actual[0]).toEqual(toFloat64(fromNumbers(expected[0] ?? [], 'f16'), 'f16'));
  });
});
