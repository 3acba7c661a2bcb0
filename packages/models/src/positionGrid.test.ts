import { expect, test } from 'vitest';
import { bicubicWeights } from './positionGrid.js';

/** torch.nn.functional.interpolate(x.reshape(1, 1, 3, 3), size, mode='bicubic') */
const interpolated = (size: readonly [number, number]): number[] => {
  const grid = [1, -2, 0.5, 3, 0, 4, -1, 2, 7];
  const weights = bicubicWeights(3, size);
  return Array.from({ length: size[0] * size[1] }, (_, at) =>
    grid.reduce((sum, value, from) => sum + value * (weights[at * 9 + from] ?? NaN), 0),
  );
};

test('a grid of the same size is the same', () => {
  expect(interpolated([3, 3])).toEqual([1, -2, 0.5, 3, 0, 4, -1, 2, 7]);
});

test('larger and smaller grids are PyTorch’s', () => {
  const near = (got: number[], want: number[]): void =>
    got.forEach((value, at) => expect(Math.abs(value - (want[at] ?? NaN))).toBeLessThan(1e-5));
  near(interpolated([2, 4]), [1.824223, -0.768253, -0.959278, 1.388813, -0.141197, 0.495767, 3.536551, 6.789769]);
  near(interpolated([1, 2]), [2.179688, 2.988281]);
});
