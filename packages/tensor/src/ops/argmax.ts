import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError } from '../shape.js';

/** The index of the largest element along the last axis, the lowest index among equals: […, V] f32 → […] i32. */
export const argmaxOp = defineOp<'argmax', Record<never, never>>({
  name: 'argmax',
  infer([x]) {
    if (x?.dtype !== 'f32' || x.shape.length === 0)
      throw shapeError('argmax', 'f32 of at least one axis', JSON.stringify(x));
    return [{ shape: x.shape.slice(0, -1), dtype: 'i32' }];
  },
  reference({ inputs: [x], inputSpecs: [spec], outputs: [y] }) {
    const width = spec.shape.at(-1) ?? 1;
    y.forEach((_, row) => {
      let best = 0;
      for (let i = 1; i < width; i++) if (x[row * width + i] > x[row * width + best]) best = i;
      y[row] = best;
    });
  },
});

const checkArgmax = signature('argmax', { x: aTensor });

/** The index of the largest element along the last axis, the lowest index among equals: i32. */
export function argmax(x: Tensor): Tensor {
  checkArgmax(x);
  return apply(argmaxOp, [x], {});
}
