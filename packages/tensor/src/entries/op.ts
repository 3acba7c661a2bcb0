/**
 * `@lowrank/tensor/op`: for authors of ops, layers and optimizers. Declaring an op, shape rules, the parts of the
 * graph, storage formats, the fused ops of training and decoding, and the references that tests compare with.
 */
export { bytesPerElement, dtypeOf, hostArray, toFloat64 } from '../dtype.js';
export { firstNotFinite } from '../numeric/firstNotFinite.js';
export { fromBf16, fromF16, toBf16, toF16 } from '../numeric/halfFloats.js';
export { dynamicMap } from '../numeric/dynamicMap.js';
export { checkEncoding, EncodedMatrix, encodingParts, encodingSpecs, nestedHead } from '../numeric/encoding.js';
export type { Block4Encoding, OperandEncoding, Rows8Encoding } from '../numeric/encoding.js';
export { deferred } from '../create.js';
export { describe, scope, sourceOf } from '../graph.js';
export { Source } from '../source.js';
export type { Node } from '../graph.js';
export { apply, applyAll, defineOp } from '../op.js';
export type { Gradients, Op, ReferenceContext, Spec, VjpContext } from '../op.js';
export { adamw, segmentBlock } from '../ops/adamw.js';
export { adamw8bit, momentBlock, momentMaps } from '../ops/adamw8bit.js';
export { attentionSizes } from '../ops/attention.js';
export { crossEntropyRows } from '../ops/crossEntropyRows.js';
export { withGradient } from '../ops/custom.js';
export { broadcastReader, clipScale, isFinite, normalCdf } from '../ops/elementwise.js';
export { decodeMatrix } from '../ops/encoded.js';
export { softCapped } from '../ops/linearCrossEntropy.js';
export type { ProductTerm } from '../ops/linearCrossEntropy.js';
export { matmulOperands, matmulSizes, matmulTerms, matmulTermSizes } from '../ops/matmulOperands.js';
export type { MatmulAttrs, MatmulOperands, MatmulTerm, TermOperands } from '../ops/matmulOperands.js';
export { partSize } from '../spec.js';
export type { LeftForm, ProductEpilogue, ProductPart } from '../spec.js';
export { sumTo } from '../ops/reduce.js';
export { writeAt } from '../ops/rows.js';
export { sampleThreshold } from '../ops/sampleThreshold.js';
export type { SampleFilters } from '../ops/sampleThreshold.js';
export { squaredNorm } from '../ops/squaredNorm.js';
export { owningViews, packAt, rows, stackRows, viewAt } from '../ops/view.js';
export { evaluateReference, topological } from '../reference.js';
export { threefry, threefryUniform } from '../numeric/rng.js';
export {
  broadcastShapes,
  broadcastStrides,
  normalizeAxis,
  sameShape,
  shapeError,
  showShape,
  sizeOf,
  stridesOf,
} from '../shape.js';
export { dumpGraph } from '../plan/dump.js';
export { trace } from '../trace.js';
export type { Effect, InputSpec, Trace, Traceable } from '../trace.js';
export { ReferenceBackend } from '../referenceBackend.js';
export { aBoolean, aFunction, anInteger, aNumber, kind, listOf, optional, options, signature } from '../arguments.js';
export type { ArgumentCheck, ArgumentKind } from '../arguments.js';
export { aTensor, aTensorLike } from '../tensorKinds.js';
