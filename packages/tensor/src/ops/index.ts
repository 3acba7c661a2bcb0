import { adamwOp } from './adamw.js';
import { adamw8bitOp } from './adamw8bit.js';
import { argmaxOp } from './argmax.js';
import { attentionBackward, attentionOp } from './attention.js';
import { castOp } from './cast.js';
import { crossEntropyRowsOp } from './crossEntropyRows.js';
import { elementwise } from './elementwise.js';
import { decodeMatrixOp } from './encoded.js';
import { layerNormBackward, layerNormOp, layerNormWeightGradient } from './layerNorm.js';
import { matmulOp } from './matmul.js';
import { concatOp, padOp, permuteOp, sliceOp } from './movement.js';
import { randomOp } from './random.js';
import { reduce } from './reduce.js';
import { rmsNormBackward, rmsNormOp, rmsNormWeightGradient } from './rmsNorm.js';
import { ropeOp } from './rope.js';
import { gatherRows, scatterAddRows, writeAtOp } from './rows.js';
import { sampleThresholdOp } from './sampleThreshold.js';
import { squaredNormOp } from './squaredNorm.js';
import { swigluBackward, swigluOp } from './swiglu.js';

/**
 * Every op that needs a kernel. A backend's table `satisfies Record<KernelName, …>`, so that a missing kernel is a type
 * error.
 */
export const coreOps = {
  adamw: adamwOp,
  adamw8bit: adamw8bitOp,
  argmax: argmaxOp,
  attention: attentionOp,
  attentionBackward,
  cast: castOp,
  concat: concatOp,
  crossEntropyRows: crossEntropyRowsOp,
  decodeMatrix: decodeMatrixOp,
  elementwise,
  gatherRows,
  layerNorm: layerNormOp,
  layerNormBackward,
  layerNormWeightGradient,
  matmul: matmulOp,
  pad: padOp,
  permute: permuteOp,
  random: randomOp,
  reduce,
  rmsNorm: rmsNormOp,
  rmsNormBackward,
  rmsNormWeightGradient,
  rope: ropeOp,
  sampleThreshold: sampleThresholdOp,
  scatterAddRows,
  slice: sliceOp,
  squaredNorm: squaredNormOp,
  swiglu: swigluOp,
  swigluBackward,
  writeAt: writeAtOp,
};

/** The ops that every backend has a kernel for, by name. */
export type CoreOps = typeof coreOps;
/** The name of an op that every backend has a kernel for. */
export type KernelName = keyof CoreOps;
/** The attributes of an op, as its file declares them. */
export type AttrsOf<Name extends KernelName> = Parameters<CoreOps[Name]['infer']>[1];
