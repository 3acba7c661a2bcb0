import { sizeOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { reduction, reductionWorkspace } from './reduce.js';

/** Σ x², in two passes where x is long. NaN and infinity survive the sum. */
export const squaredNorm = defineKernel<AttrsOf<'squaredNorm'>>({
  launches({ inputs, outputs, workspace }, context) {
    const x = operand(inputs, 0, 'squaredNorm');
    const task = {
      label: 'squaredNorm',
      kind: 'sum',
      outer: 1,
      length: sizeOf(x.shape),
      inner: 1,
      from: x,
      to: operand(outputs, 0, 'squaredNorm'),
      square: true,
    } as const;
    return reduction(task, workspace, context);
  },
  workspace: ([x]) => reductionWorkspace({ outer: 1, length: sizeOf(x?.shape ?? []), inner: 1 }),
});
