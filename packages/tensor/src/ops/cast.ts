import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import type { DType } from '../dtype.js';
import { aDtype } from '../dtype.js';
import { shapeError, sizeOf } from '../shape.js';

export interface CastAttrs {
  readonly dtype: DType;
}

/** x in another dtype: rounded to nearest even going to f16 and bf16, toward zero going to integers. */
export const castOp = defineOp<'cast', CastAttrs>({
  name: 'cast',
  infer([x], { dtype }) {
    const allowed = ['f32', 'f16', 'bf16', 'i32', 'u32'];
    if (x === undefined || !allowed.includes(x.dtype) || !allowed.includes(dtype))
      throw shapeError('cast', `dtypes among ${allowed.join(', ')}`, `${x?.dtype} to ${dtype}`);
    if ((dtype === 'f16' || dtype === 'bf16') && sizeOf(x.shape) % 2 !== 0)
      throw shapeError('cast to 16 bits', 'an even number of elements', `${sizeOf(x.shape)}`);
    return [{ shape: x.shape, dtype }];
  },
  vjp: ({ inputs: [x], cotangents: [g] }) => (x === undefined || g === undefined || x.dtype !== 'f32' ? [] : [g]),
  reference({ inputs: [x], inputSpecs: [spec], outputs: [y], attrs: { dtype } }) {
    const truncate = (dtype === 'i32' || dtype === 'u32') && spec.dtype !== dtype;
    x.forEach((value, at) => {
      y[at] = truncate ? Math.trunc(value) : value;
    });
  },
});

const checkCast = signature('cast', { x: aTensor, dtype: aDtype });

/** x in another dtype; x itself where it has that already. */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkCast(x, dtype);
  return x.dtype === dtype ? x : apply(castOp, [x], { dtype });
}
