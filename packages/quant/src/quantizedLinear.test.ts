import { linear, add, Rng, tensor } from '@lowrank/tensor';
import { EncodedMatrix, evaluateReference, decodeMatrix } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { QuantizedLinear } from './quantizedLinear.js';

const rng = new Rng(5);
const numbers = (length: number): Float32Array => Float32Array.from({ length }, () => rng.normal());
const matrix = (): EncodedMatrix =>
  new EncodedMatrix({ kind: 'rows8', rows: 3, columns: 5 }, [
    tensor(
      Int8Array.from({ length: 15 }, (_, i) => 17 * i - 120),
      [3, 5],
    ),
    tensor(Float32Array.of(1, 0.5, 2), [3]),
  ]);

test('multiplies by what its codes mean, and adds its bias', async () => {
  const codes = matrix();
  const bias = tensor(numbers(3), [3]);
  const layer = new QuantizedLinear(codes, bias);
  expect([layer.inFeatures, layer.outFeatures]).toEqual([5, 3]);
  const x = tensor(numbers(2 * 4 * 5), [2, 4, 5]);
  const [w = new Float64Array()] = await evaluateReference([decodeMatrix(codes)]);
  const [y, expected] = await evaluateReference([
    layer.forward(x),
    add(linear(x, tensor(Float32Array.from(w), [3, 5])), bias),
  ]);
  expect(y?.length).toBe(24);
  y?.forEach((value, at) => expect(value).toBeCloseTo(expected?.[at] ?? NaN, 5));
});

test('its codes are frozen parameters with names of their own', () => {
  const layer = new QuantizedLinear(matrix(), tensor(numbers(3), [3]));
  expect([...layer.namedParameters()].map(([name, { trainable }]) => [name, trainable])).toEqual([
    ['weight', false],
    ['weight.absmax', false],
    ['bias', true],
  ]);
});

test('a bias of another length is refused', () => {
  expect(() => new QuantizedLinear(matrix(), tensor(numbers(4), [4]))).toThrow(/bias \[3\]/);
});
