import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { sizeOf } from '../shape.js';
import { mul } from './elementwise.js';

/** Σ x² → a scalar. NaN or infinity anywhere makes it NaN or infinite: the finite check of a whole gradient. */
export const squaredNormOp = defineOp<'squaredNorm', Record<never, never>>({
  name: 'squaredNorm',
  infer: () => [{ shape: [], dtype: 'f32' }],
  vjp: ({ inputs: [x], cotangents: [g] }) => (x === undefined || g === undefined ? [] : [mul(mul(g, 2), x)]),
  reference({ inputs: [x], outputs: [y] }) {
    y[0] = x.reduce((total, value) => total + value * value, 0);
  },
  flops: ([x]) => 2 * sizeOf(x?.shape ?? []),
});

/** Σ x² as a scalar; not finite where an element is not. */
export function squaredNorm(x: Tensor): Tensor {
  return apply(squaredNormOp, [x], {});
}
