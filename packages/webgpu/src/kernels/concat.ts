import { stridesOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { move } from './movement.js';

/** One block copy per input, so that any number of inputs fits the binding limit. */
export const concat = defineKernel<AttrsOf<'concat'>>({
  launches({ inputs, outputs, attrs: { axis } }, context) {
    const to = operand(outputs, 0, 'concat');
    const toStrides = stridesOf(to.shape);
    let start = 0;
    return inputs.map((from) => {
      const toStart = start * toStrides[axis];
      start += from.shape[axis];
      return move(
        {
          label: 'concat',
          shape: from.shape,
          from,
          fromStart: 0,
          fromStrides: stridesOf(from.shape),
          to,
          toStart,
          toStrides,
        },
        context,
      );
    });
  },
});
