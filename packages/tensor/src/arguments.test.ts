import { isLowrankError } from '@lowrank/errors';
import { expect, test } from 'vitest';
import * as lr from './index.js';

/** Calls that a type checker would refuse. */
function said(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isLowrankError(error)) return error.message;
    throw error;
  }
  return 'nothing';
}

const x = lr.tensor([1, 2, 3, 4], [2, 2]);
// Functions as plain JavaScript sees them.
const js = lr as unknown as Record<string, (...args: unknown[]) => unknown>;

test('an axis in the place of options is an error that shows the call', () => {
  expect(said(() => js['sum']?.(x, -1))).toBe(
    'the argument options of sum: expected options { axis, keepDims }, got -1. Call it as sum(x, { axis, keepDims }).',
  );
});

test('an option by another name is an error that lists the names', () => {
  expect(said(() => js['mean']?.(x, { dim: 0 }))).toBe(
    'the option dim of mean: expected one of axis, keepDims, got dim. Call it as mean(x, { axis, keepDims }).',
  );
  expect(said(() => js['softmax']?.(x, { axis: '0' }))).toMatch(
    /the option axis of softmax: expected an integer, got '0'/,
  );
});

test('what is no tensor is named by its class', () => {
  class Parameter {}
  expect(said(() => js['matmul']?.(x, new Parameter()))).toMatch(
    /the argument b of matmul: expected a Tensor or an EncodedMatrix, got a Parameter/,
  );
  expect(said(() => js['add']?.(x))).toMatch(
    /the argument b of add: expected a Tensor, a Scalar or a number, got undefined/,
  );
  expect(said(() => js['relu']?.([1, 2]))).toMatch(/the argument a of relu: .* got an array of 2/);
});

/** One wrong call for each function of the user's entry that takes an argument. */
const wrong: Record<string, readonly unknown[]> = {
  argmax: [3],
  assign: [x, 3],
  attention: [x, x, x, { mask: x }],
  broadcastTo: [x, 2],
  cast: [x, 'float32'],
  checkpoint: [x],
  compile: [() => ({ x })],
  concat: [x, x],
  crossEntropy: [x, x, 'mean'],
  dropout: [x, 0.1, 7, 0],
  embedding: [x, [1, 2]],
  fromNumbers: [[1], 'float16'],
  full: [2, 2],
  grad: [x, x],
  layerNorm: [x, x, x, { epsilon: 1e-5 }],
  linear: [x, 2],
  linearCrossEntropy: [x, x, x, { softCap: 1 }],
  logSoftmax: [x, 0],
  matmul: [x, x, true],
  max: [x, 0],
  mean: [x, 0],
  pad: [x, 1, 1],
  permute: [x, 1, 0],
  persistent: [2, 2],
  pow: [2, x],
  randomUniform: [[2], 1, 0],
  reshape: [x, 4],
  rmsNorm: [x, x, { epsilon: 1e-5 }],
  rope: [x, x, x],
  scalar: ['1'],
  setDefaultBackend: ['cpu'],
  slice: [x, [0, 1]],
  softmax: [x, 0],
  stopGradient: [1],
  sum: [x, 0],
  swiglu: [x],
  tensor: ['1, 2'],
  toFloat32: [x, 'f32'],
  transpose: [x, 0, 1].slice(3),
  where: [x, x],
  zeros: [2, 2],
};

test.each(Object.entries(lr).flatMap(([name, value]) => (typeof value === 'function' ? [[name, value] as const] : [])))(
  '%s refuses an argument of another kind',
  async (name, fn) => {
    if (/^[A-Z]/.test(name)) return;
    const args = wrong[name] ?? [{}, {}];
    const call = (): unknown => (fn as (...args: unknown[]) => unknown)(...args);
    if (name === 'readTensor')
      await expect(Promise.resolve().then(call)).rejects.toThrow(/of readTensor: expected a Tensor/);
    else expect(said(call)).toMatch(new RegExp(`^the (argument|option) \\w+ of ${name}: expected .*, got `));
  },
);
