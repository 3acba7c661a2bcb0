/**
 * What a program that computes with tensors uses. Authors of ops, layers and optimizers find the rest in
 * `@lowrank/tensor/op`, authors of backends in `@lowrank/tensor/backend`.
 */
export { grad } from './autodiff.js';
export type { Backend } from './backend.js';
export { checkpoint } from './checkpoint.js';
export { fromNumbers, toFloat32 } from './dtype.js';
export type { DType, HostArray } from './dtype.js';
export { Scalar, Tensor } from './graph.js';
export { persistent, scalar, tensor } from './create.js';
export type { TensorOptions } from './create.js';
export { argmax } from './ops/argmax.js';
export { attention } from './ops/attention.js';
export type { AttentionOptions } from './ops/attention.js';
export { cast } from './ops/cast.js';
export { stopGradient } from './ops/custom.js';
export {
  abs,
  add,
  broadcastTo,
  cos,
  div,
  equal,
  exp,
  floor,
  full,
  gelu,
  geluTanh,
  less,
  lessEqual,
  log,
  maximum,
  minimum,
  mul,
  neg,
  relu,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  sqrt,
  square,
  sub,
  tanh,
  where,
  zeros,
} from './ops/elementwise.js';
export type { TensorLike } from './ops/elementwise.js';
export { layerNorm } from './ops/layerNorm.js';
export { linearCrossEntropy } from './ops/linearCrossEntropy.js';
export { linear, matmul } from './ops/matmul.js';
export { concat, pad, permute, slice, transpose } from './ops/movement.js';
export { dropout, randomUniform } from './ops/random.js';
export type { RandomState } from './ops/random.js';
export { max, mean, sum } from './ops/reduce.js';
export { rmsNorm } from './ops/rmsNorm.js';
export { rope } from './ops/rope.js';
export { embedding } from './ops/rows.js';
export { swiglu } from './ops/swiglu.js';
export { reshape } from './ops/view.js';
export { Rng } from './numeric/rng.js';
export type { Shape } from './shape.js';
export { CompiledFunction, compile } from './compile.js';
export type { CompileOptions, Inputs, Results } from './compile.js';
export { readTensor, setDefaultBackend } from './interactive.js';
export { assign } from './trace.js';
export type { HostTensor } from './trace.js';
export { crossEntropy } from './ops/crossEntropy.js';
export type { CrossEntropyOptions } from './ops/crossEntropy.js';
export type { LossTerms } from './ops/crossEntropyRows.js';
export { pow } from './ops/pow.js';
export { logSoftmax, softmax } from './ops/softmax.js';
export type { SoftmaxOptions } from './ops/softmax.js';
