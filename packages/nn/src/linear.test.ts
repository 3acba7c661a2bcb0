import { fromNumbers, Rng, tensor } from '@lowrank/tensor';
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

test('fresh weights are uniform in ±1/√inFeatures, as PyTorch’s, and come from the generator', async () => {
  const make = (): Linear => new Linear(16, 300, { rng: new Rng(5) });
  const [w = new Float64Array(), b = new Float64Array()] = await evaluateReference([
    make().weight.tensor,
    make().bias?.tensor ?? x,
  ]);
  for (const values of [w, b]) {
    const largest = values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    expect(largest).toBeLessThan(0.25);
    expect(largest).toBeGreaterThan(0.24);
  }
  expect(w.reduce((sum, value) => sum + value * value, 0) / w.length).toBeCloseTo(0.25 ** 2 / 3, 3);
  expect(await evaluateReference([make().weight.tensor])).toEqual([w]);
  expect(new Linear(2, 3, { rng: new Rng(5), bias: false }).bias).toBeUndefined();
});

test('arguments of another kind are named', () => {
  const js = Linear as unknown as new (...args: unknown[]) => Linear;
  expect(() => new js(2, 3)).toThrow(/options of new Linear: expected options { rng, bias }, got undefined/);
  expect(() => new js(2, 3, { bias: true })).toThrow(/option rng of new Linear: expected an Rng/);
  expect(() => new js(2, 3, { rng: new Rng(1), biased: true })).toThrow(/expected one of rng, bias, got biased/);
  expect(() => new js([1, 2])).toThrow(/weight of new Linear: expected a Tensor or a Parameter/);
});
