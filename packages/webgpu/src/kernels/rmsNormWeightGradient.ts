import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel } from '../kernel.js';
import { literal } from '../shader.js';
import { normWeightGradient, normWeightWorkspace } from './normWeightGradient.js';
import type { NormOfRow } from './normWeightGradient.js';

/** g·x·f */
const norm = (epsilon: number): NormOfRow => ({
  name: 'rmsNormWeightGradient',
  kept: 1,
  keep: (x, width, form, at) => `var squares = 0.0f;
  for (var i = first; i < ${width}u; i += ${form.lanes}u) {
    let value = ${x}[row * ${width}u + i];
    squares = fma(value, value, squares);
  }
  let total = rowSum(squares, lane);
  if (first == 0u) { ${at(0)} = 1.0f / sqrt(total / ${width}.0f + ${literal(epsilon)}); }`,
  addend: (x, g, kept, total) => `fma(${g} * ${x}, ${kept(0)}, ${total})`,
});

export const rmsNormWeightGradient = defineKernel<AttrsOf<'rmsNormWeightGradient'>>({
  launches: (step, context) => normWeightGradient(step, context, norm(step.attrs.epsilon)),
  workspace: ([x], _, { epsilon }) => normWeightWorkspace(x, norm(epsilon)),
});
