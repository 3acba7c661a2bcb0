import { stridesOf } from '@lowrank/tensor/op';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { defineKernel, operand } from '../kernel.js';
import { move } from './movement.js';

/** Axes in another order, each output element fetched from its place. */
export const permute = defineKernel<AttrsOf<'permute'>>({
  launches({ inputs, outputs, attrs: { axes } }, context) {
    const from = operand(inputs, 0, 'permute');
    const to = operand(outputs, 0, 'permute');
    const strides = stridesOf(from.shape);
    const fromStrides = axes.map((axis) => strides[axis]);
    return [
      move(
        {
          label: 'permute',
          shape: to.shape,
          from,
          fromStart: 0,
          fromStrides,
          to,
          toStart: 0,
          toStrides: stridesOf(to.shape),
        },
        context,
      ),
    ];
  },
});
