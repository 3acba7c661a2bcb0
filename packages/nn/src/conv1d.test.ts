import { tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Conv1d } from './conv1d.js';
import { isLinearLike } from './module.js';

test('x·W + b with W [in, out], for rows under any leading axes', async () => {
  const layer = new Conv1d(tensor([1, 2, 3, 4, 5, 6], [2, 3]), tensor([10, 20, 30]));
  expect([layer.inFeatures, layer.outFeatures, isLinearLike(layer)]).toEqual([2, 3, true]);
  const [y] = await evaluateReference([layer.forward(tensor([1, 0, 0, 1, 1, 1, 2, -1], [2, 2, 2]))]);
  expect([...(y ?? [])]).toEqual([11, 22, 33, 14, 25, 36, 15, 27, 39, 8, 19, 30]);
});

test('without a bias, and the names of its parameters', async () => {
  const layer = new Conv1d(tensor([1, 2, 3, 4], [1, 4]));
  expect([...layer.namedParameters()].map(([name]) => name)).toEqual(['weight']);
  const [y] = await evaluateReference([layer.forward(tensor([2], [1, 1]))]);
  expect([...(y ?? [])]).toEqual([2, 4, 6, 8]);
});

test('a weight that is no matrix and a bias of another size are refused', () => {
  expect(() => new Conv1d(tensor([1, 2, 3]))).toThrow(/Conv1d: expected a weight \[in, out\] and a bias \[out\]/);
  expect(() => new Conv1d(tensor([1, 2, 3, 4, 5, 6], [2, 3]), tensor([1, 2]))).toThrow(/Conv1d/);
});
