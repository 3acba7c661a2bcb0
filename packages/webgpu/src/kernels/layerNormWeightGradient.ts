import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel } from '../kernel.js';
import { moments } from './layerNorm.js';
import { normWeightGradient, normWeightWorkspace } from './normWeightGradient.js';
import type { NormOfRow } from './normWeightGradient.js';

/** g·(x − μ)·f */
const norm = (epsilon: number): NormOfRow => ({
  name: 'layerNormWeightGradient',
  kept: 2,
  keep: (x, width, form, at) => `${moments(x, width, epsilon, form)}
  if (first == 0u) { ${at(0)} = mean; ${at(1)} = factor; }`,
  addend: (x, g, kept, total) => `fma(${g}, (${x} - ${kept(0)}) * ${kept(1)}, ${total})`,
});

export const layerNormWeightGradient = defineKernel<AttrsOf<'layerNormWeightGradient'>>({
  launches: (step, context) => normWeightGradient(step, context, norm(step.attrs.epsilon)),
  workspace: ([x], _, { epsilon }) => normWeightWorkspace(x, norm(epsilon)),
});
