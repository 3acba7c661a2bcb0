import { fromNumbers, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Linear } from './linear.js';

const weight = [1, 2, 3, -0.5, 0.25, 8];
const x = tensor([1, 2, 3, 4, 5, 6], [1, 2, 3]);
const y = Float64Array.of(14, 24, 32, 47.25);

test('y = x·Wᵀ + b over any leading axes', async () => {
  const layer = new Linear(tensor(weight, [2, 3]), tensor([0.5, -1]));
  expect([layer.inFeatures, layer.outFeatures]).toEqual([3, 2]);
  const result = layer.forward(x);
  expect(result.shape).toEqual([1, 2, 2]);
  expect(await evaluateReference([result])).toEqual([Float64Array.of(14.5, 23, 32.5, 46.25)]);
});

test.each(['f16', 'bf16'] as const)('a weight in %s', async (dtype) => {
  expect(
    await evaluateReference([new Linear(tensor(fromNumbers(weight, dtype), [2, 3], { dtype })).forward(x)]),
  ).toEqual([y]);
});

test('shapes are checked', () => {
  expect(() => new Linear(tensor(weight))).toThrow(/Linear.*\[out, in\]/);
  expect(() => new Linear(tensor(weight, [2, 3]), tensor([1, 2, 3]))).toThrow(/Linear/);
});
