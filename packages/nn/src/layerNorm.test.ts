import { tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { LayerNorm } from './layerNorm.js';

test('each row is brought to mean 0 and variance 1, then scaled and shifted', async () => {
  const norm = new LayerNorm({ weight: tensor([1, 2, 3]), bias: tensor([0, 10, 20]) }, 0);
  expect([...norm.namedParameters()].map(([name]) => name)).toEqual(['weight', 'bias']);
  const [y = []] = await evaluateReference([norm.forward(tensor([1, 2, 3, 7, 7, 7.5], [2, 1, 3]))]);
  const [a, b] = [Math.sqrt(1.5), Math.sqrt(0.5)];
  [-a, 10, 20 + 3 * a, -b, 10 - 2 * b, 20 + 3 * Math.SQRT2].forEach((want, at) => expect(y[at]).toBeCloseTo(want, 12));
});

test('epsilon holds a constant row together', async () => {
  const norm = new LayerNorm({ weight: tensor([1, 1]), bias: tensor([4, 5]) }, 1e-5);
  const [y = []] = await evaluateReference([norm.forward(tensor([3, 3], [1, 2]))]);
  expect([...y]).toEqual([4, 5]);
});

test('a bias of another size is refused', () => {
  expect(() => new LayerNorm({ weight: tensor([1, 2, 3]), bias: tensor([1, 2]) }, 0)).toThrow(
    /LayerNorm: expected a weight and a bias \[D\]/,
  );
});
