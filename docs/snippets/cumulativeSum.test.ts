import { grad, mul, sum, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { cumulativeSum } from './cumulativeSum';

const x = tensor(Float32Array.of(1, 2, 3, -4, 5, 0.5), [2, 3]);

test('running sums of each row, from either end', async () => {
  const [forward, backward] = await evaluateReference([cumulativeSum(x), cumulativeSum(x, { reverse: true })]);
  expect(Array.from(forward ?? [])).toEqual([1, 3, 6, -4, 1, 1.5]);
  expect(Array.from(backward ?? [])).toEqual([6, 5, 3, 1.5, 5.5, 0.5]);
  expect(() => cumulativeSum(tensor(Int32Array.of(1), [1]))).toThrow(/cumulativeSum: expected f32/);
});

test.each([false, true])('the gradient is that of central differences (reverse: %s)', async (reverse) => {
  const weights = tensor(Float32Array.of(0.3, -1, 2, 0.7, 0.1, -0.4), [2, 3]);
  const loss = sum(mul(cumulativeSum(x, { reverse }), weights));
  const [gradient] = await evaluateReference(grad(loss, [x]));
  const at = async (values: Float64Array): Promise<number> =>
    (await evaluateReference([loss], new Map([[x.node, values]])))[0]?.[0] ?? NaN;
  for (let i = 0; i < x.size; i++) {
    const moved = (delta: number): Float64Array =>
      Float64Array.from([1, 2, 3, -4, 5, 0.5], (value, j) => value + (i === j ? delta : 0));
    const slope = ((await at(moved(1e-4))) - (await at(moved(-1e-4)))) / 2e-4;
    expect(Math.abs((gradient?.[i] ?? NaN) - slope)).toBeLessThan(1e-6);
  }
});
