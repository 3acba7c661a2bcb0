export { grad, valueAndGrad } from './autodiff.js';
export type {
  Backend,
  BackendSpec,
  Executable,
  HostNumber,
  MemoryReport,
  Operand,
  PersistentData,
  Plan,
  PlanBuffer,
  RunRequest,
  Step,
} from './backend.js';
export { checkpoint } from './checkpoint.js';
export {
  bytesPerElement,
  dtypeOf,
  fromBf16,
  fromF16,
  fromNumbers,
  hostArray,
  toBf16,
  toF16,
  toFloat32,
  toFloat64,
} from './dtype.js';
export type { DType, HostArray } from './dtype.js';
export { dynamicMap } from './dynamicMap.js';
export { checkEncoding, EncodedMatrix, encodingParts, encodingSpecs, nestedHead } from './encoding.js';
export type { Block4Encoding, OperandEncoding, Rows8Encoding } from './encoding.js';
export { deferred, describe, persistent, Scalar, scalar, scope, sourceOf, Tensor, tensor } from './graph.js';
export { Source } from './source.js';
export type { Node, TensorOptions } from './graph.js';
export { apply, applyAll, defineOp } from './op.js';
export type { Gradients, Op, ReferenceContext, Spec, VjpContext } from './op.js';
export { adamw, segmentBlock } from './ops/adamw.js';
export { adamw8bit, momentBlock, momentMaps } from './ops/adamw8bit.js';
export { argmax } from './ops/argmax.js';
export { attention, attentionSizes } from './ops/attention.js';
export type { AttentionOptions } from './ops/attention.js';
export { cast } from './ops/cast.js';
export { crossEntropyRows } from './ops/crossEntropyRows.js';
export { stopGradient, withGradient } from './ops/custom.js';
export {
  abs,
  add,
  broadcastReader,
  broadcastTo,
  clipScale,
  cos,
  div,
  elementwiseFunctions,
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
  normalCdf,
  relu,
  rsqrt,
  select,
  sigmoid,
  sign,
  silu,
  sin,
  sqrt,
  square,
  sub,
  tanh,
  zeros,
} from './ops/elementwise.js';
export type { ElementwiseName, Instruction, Value } from './ops/elementwise.js';
export { decodeMatrix, quantizeBlocks } from './ops/encoded.js';
export type { DecodeAttrs, QuantizeBlocksAttrs } from './ops/encoded.js';
export { coreOps } from './ops/index.js';
export type { AttrsOf, CoreOps, KernelName } from './ops/index.js';
export { layerNorm } from './ops/layerNorm.js';
export { linearCrossEntropy, softCapped } from './ops/linearCrossEntropy.js';
export type { ProductTerm } from './ops/linearCrossEntropy.js';
export { linear, matmul, matmulOperands, matmulSizes } from './ops/matmul.js';
export type { MatmulAttrs, MatmulOperands } from './ops/matmul.js';
export { concat, pad, permute, slice, transpose } from './ops/movement.js';
export { dropout, randomUniform } from './ops/random.js';
export type { RandomState } from './ops/random.js';
export { max, mean, sum, sumTo } from './ops/reduce.js';
export { rmsNorm } from './ops/rmsNorm.js';
export { rope } from './ops/rope.js';
export { embedding, writeAt } from './ops/rows.js';
export { sampleThreshold } from './ops/sampleThreshold.js';
export type { SampleFilters } from './ops/sampleThreshold.js';
export { squaredNorm } from './ops/squaredNorm.js';
export { swiglu } from './ops/swiglu.js';
export { packAt, reshape, rows, stackRows, viewAt } from './ops/view.js';
export { evaluateReference, topological } from './reference.js';
export { Rng, threefry, threefryUniform } from './rng.js';
export {
  broadcastShapes,
  broadcastStrides,
  normalizeAxis,
  sameShape,
  shapeError,
  showShape,
  sizeOf,
  stridesOf,
} from './shape.js';
export type { Shape } from './shape.js';
export { Arena } from './arena.js';
export { CompiledFunction, compile, planFunction } from './compile.js';
export type { CompileOptions, Inputs, Results } from './compile.js';
export type { DeviceBuffer, DeviceMemory } from './memory.js';
export { readTensor, setDefaultBackend } from './interactive.js';
export { buildPlan } from './plan/build.js';
export type { PlanOptions } from './plan/build.js';
export { dumpGraph, dumpPlan, planCost } from './plan/dump.js';
export type { PlanCost } from './plan/dump.js';
export { planMemory } from './plan/memory.js';
export type { PlanMemory } from './plan/memory.js';
export { assign, trace } from './trace.js';
export type { Effect, HostTensor, InputSpec, Trace, Traceable } from './trace.js';
export { runUnplanned } from './unplanned.js';
export type { UnplannedOptions } from './unplanned.js';
export { ReferenceBackend } from './referenceBackend.js';
