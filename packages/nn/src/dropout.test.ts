import { scalar, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { Dropout, trainingDropout, withDropout } from './dropout.js';

const x = tensor(new Float32Array(1000).fill(3));
const state = { seed: scalar(7, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };

test('outside of training nothing is dropped, nor at a rate of 0', () => {
  expect(trainingDropout(x, 0.5, 1)).toBe(x);
  withDropout(state, () => expect(trainingDropout(x, 0, 1)).toBe(x));
});

test('while training a share is zero, and the rest is scaled up', async () => {
  const [values = new Float64Array()] = await evaluateReference([
    withDropout(state, () => trainingDropout(x, 0.25, 1)),
  ]);
  const zeros = values.filter((value) => value === 0).length;
  expect(zeros).toBeGreaterThan(200);
  expect(zeros).toBeLessThan(300);
  expect(values.every((value) => value === 0 || value === 4)).toBe(true);
});

test('layers draw apart, steps draw apart, and a step draws the same again', async () => {
  const draw = async (stream: number, step: number): Promise<Float64Array | undefined> => {
    state.step.value = step;
    return (await evaluateReference([withDropout(state, () => trainingDropout(x, 0.5, stream))]))[0];
  };
  const first = await draw(1, 1);
  expect(await draw(1, 1)).toEqual(first);
  expect(await draw(2, 1)).not.toEqual(first);
  expect(await draw(1, 2)).not.toEqual(first);
});

test('the state ends with the call, also when it throws', () => {
  expect(() =>
    withDropout(state, () => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(trainingDropout(x, 0.5, 1)).toBe(x);
});

test('as a layer', async () => {
  const layer = new Dropout(0.25, 1);
  expect(layer.forward(x)).toBe(x);
  const [own, same] = withDropout(state, () => [layer.forward(x), trainingDropout(x, 0.25, 1)]);
  if (own === undefined || same === undefined) throw new TypeError('two values');
  const [a, b] = await evaluateReference([own, same]);
  expect(a).toEqual(b);
});
