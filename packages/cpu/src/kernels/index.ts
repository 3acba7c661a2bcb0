import type { KernelName } from '@lowrank/tensor/backend';
import type { CpuKernel } from '../kernel.js';
import { attention, attentionBackward } from './attention.js';
import { elementwise } from './elementwise.js';
import { decodeMatrix } from './encoded.js';
import { adamw, adamw8bit, cast, random, swiglu, swigluBackward } from './flat.js';
import { layerNorm, layerNormBackward, layerNormWeightGradient } from './layerNorm.js';
import { matmul } from './matmul.js';
import { concat, pad, permute, slice, writeAt } from './movement.js';
import { reduce, squaredNorm } from './reduce.js';
import {
  argmax,
  crossEntropyRows,
  gatherRows,
  rmsNorm,
  rmsNormBackward,
  rmsNormWeightGradient,
  rope,
  sampleThreshold,
  scatterAddRows,
} from './rows.js';

type KernelTable = { readonly [Name in KernelName]: CpuKernel<Name> };

/** A kernel for every core op; a missing one is a type error. */
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
} satisfies KernelTable;
