import { sizeOf } from '@lowrank/tensor/op';
import { expect, it } from 'vitest';
import { describeKernel, given, randomInput, rowTiers } from '../testing/kernelHarness.js';

const shapes = [
  [1, 1, 1],
  [3, 7, 5],
  [5, 131, 1],
  [200, 67, 1],
  [1, 129, 67],
  [1, 20_011, 1],
  [2, 9001, 3],
] as const;

describeKernel('reduce', ({ check, run }) => {
  it('sums and takes maxima along the middle axis', async () => {
    for (const [outer, length, inner] of shapes) {
      const attrs = { outer, length, inner, shape: [outer, inner] };
      const input = randomInput([outer, length, inner], length);
      await check(
        { op: 'reduce', attrs: { ...attrs, kind: 'sum' }, inputs: [input] },
        { c: 2 + Math.sqrt(length), magnitude: length / 2 },
      );
      await check({ op: 'reduce', attrs: { ...attrs, kind: 'max' }, inputs: [input] }, { c: 0, magnitude: 1 });
    }
  });

  it('lets no NaN vanish in a maximum', async () => {
    const row = Array.from({ length: 300 }, (_, i) => (i === 211 ? NaN : i));
    const { actual } = await run({
      op: 'reduce',
      attrs: { kind: 'max', outer: 1, length: 300, inner: 1, shape: [1] },
      inputs: [given(row)],
    });
    expect(actual[0]?.[0]).toBeNaN();
  });
});

describeKernel(
  'squaredNorm',
  ({ check, run }) => {
    it('adds up squares', async () => {
      for (const shape of [[1], [7, 11], [50_021]])
        await check(
          { op: 'squaredNorm', attrs: {}, inputs: [randomInput(shape, 1)] },
          { c: 2 + Math.sqrt(sizeOf(shape)), magnitude: sizeOf(shape) / 3 },
        );
    });

    it('turns NaN and infinity into a non-finite result', async () => {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const { actual } = await run({
          op: 'squaredNorm',
          attrs: {},
          inputs: [given([...Array.from({ length: 70 }, () => 1), bad])],
        });
        expect(Number.isFinite(actual[0]?.[0])).toBe(false);
      }
    });
  },
  rowTiers,
);
