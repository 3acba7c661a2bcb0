import type { KernelName } from '@lowrank/tensor/backend';
import type { KernelEntry } from '../kernel.js';
import { adamw } from './adamw.js';
import { adamw8bit } from './adamw8bit.js';
import { argmax } from './argmax.js';
import { attention } from './attention.js';
import { attentionBackward } from './attentionBackward.js';
import { cast } from './cast.js';
import { concat } from './concat.js';
import { crossEntropyRows } from './crossEntropyRows.js';
import { elementwise } from './elementwise.js';
import { decodeMatrix } from './encoded.js';
import { gatherRows } from './gatherRows.js';
import { layerNorm } from './layerNorm.js';
import { layerNormBackward } from './layerNormBackward.js';
import { layerNormWeightGradient } from './layerNormWeightGradient.js';
import { matmul } from './matmul.js';
import { pad } from './pad.js';
import { permute } from './permute.js';
import { random } from './random.js';
import { reduce } from './reduce.js';
import { rmsNorm } from './rmsNorm.js';
import { rmsNormBackward } from './rmsNormBackward.js';
import { rmsNormWeightGradient } from './rmsNormWeightGradient.js';
import { rope } from './rope.js';
import { sampleThreshold } from './sampleThreshold.js';
import { scatterAddRows } from './scatterAddRows.js';
import { slice } from './slice.js';
import { squaredNorm } from './squaredNorm.js';
import { swiglu } from './swiglu.js';
import { swigluBackward } from './swigluBackward.js';
import { writeAt } from './writeAt.js';

/** The kernel of every core op; an op without one is a type error here. */
export const kernels = {
  adamw,
  adamw8bit,
  argmax,
  attention,
  attentionBackward,
  cast,
  concat,
  crossEntropyRows,
  decodeMatrix,
  elementwise,
  gatherRows,
  layerNorm,
  layerNormBackward,
  layerNormWeightGradient,
  matmul,
  pad,
  permute,
  random,
  reduce,
  rmsNorm,
  rmsNormBackward,
  rmsNormWeightGradient,
  rope,
  sampleThreshold,
  scatterAddRows,
  slice,
  squaredNorm,
  swiglu,
  swigluBackward,
  writeAt,
} satisfies Record<KernelName, KernelEntry>;
