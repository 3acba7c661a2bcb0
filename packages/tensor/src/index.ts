export { grad, valueAndGrad } from './autodiff.js';
export type { Backend, BackendSpec, DeviceBuffer, Executable, MemoryReport, Operand, Plan, PlanBuffer, RunRequest, Step } from './backend.js';
export { bytesPerElement, dtypeOf, fromBf16, fromF16, fromNumbers, hostArray, toBf16, toF16, toFloat32, toFloat64 } from './dtype.js';
export type { DType, HostArray } from './dtype.js';
export { describe, persistent, Scalar, scalar, scope, Source, sourceOf, Tensor, tensor } from './graph.js';
export type { Node, TensorOptions } from './graph.js';
export { apply, applyAll, defineOp } from './op.js';
export type { Gradients, Op, ReferenceContext, Spec, VjpContext } from './op.js';
export { adamw, segmentBlock } from './ops/adamw.js';
export { argmax } from './ops/argmax.js';
export { attention, attentionSizes } from './ops/attention.js';
export type { AttentionOptions } from './ops/attention.js';
export { cast } from './ops/cast.js';
export { crossEntropyRows } from './ops/crossEntropyRows.js';
export { stopGradient, withGradient } from './ops/custom.js';
export {
  abs, add, broadcastReader, broadcastTo, clipScale, cos, div, elementwiseFunctions, equal, exp, floor, full, geluTanh, less, lessEqual, log, maximum, minimum, mul, neg, relu, rsqrt, select, sigmoid,
  sign, silu, sin, sqrt, square, sub, tanh, zeros,
} from './ops/elementwise.js';
export type { ElementwiseName, Instruction, Value } from './ops/elementwise.js';
export { coreOps } from './ops/index.js';
export type { AttrsOf, CoreOps, KernelName } from './ops/index.js';
export { linearCrossEntropy } from './ops/linearCrossEntropy.js';
export { linear, matmul, matmulSizes } from './ops/matmul.js';
export type { MatmulAttrs } from './ops/matmul.js';
export { concat, pad, permute, slice, transpose } from './ops/movement.js';
export { dropout, randomUniform } from './ops/random.js';
export type { RandomState } from './ops/random.js';
export { max, mean, sum, sumTo } from './ops/reduce.js';
export { rmsNorm } from './ops/rmsNorm.js';
export { rope } from './ops/rope.js';
export { embedding, writeAt } from './ops/rows.js';
export { squaredNorm } from './ops/squaredNorm.js';
export { swiglu } from './ops/swiglu.js';
export { packAt, reshape, rows, stackRows, viewAt } from './ops/view.js';
export { evaluateReference, topological } from './reference.js';
export { Rng, threefry, threefryUniform } from './rng.js';
export { broadcastShapes, broadcastStrides, normalizeAxis, sameShape, shapeError, showShape, sizeOf, stridesOf } from './shape.js';
export type { Shape } from './shape.js';
