import { stridesOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { move } from './movement.js';

/** A block of the input. */
export const slice = defineKernel<AttrsOf<'slice'>>({
  launches({ inputs, outputs, attrs: { starts, sizes } }, context) {
    const from = operand(inputs, 0, 'slice');
    const to = operand(outputs, 0, 'slice');
    const fromStrides = stridesOf(from.shape);
    const fromStart = starts.reduce((at, start, axis) => at + start * fromStrides[axis], 0);
    return [
      move(
        { label: 'slice', shape: sizes, from, fromStart, fromStrides, to, toStart: 0, toStrides: stridesOf(sizes) },
        context,
      ),
    ];
  },
});
