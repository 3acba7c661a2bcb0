import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Gradients } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

export interface RopeAttrs {
  /** Turn the other way: the gradient. */
  readonly inverse: boolean;
}

/**
 * Rotary position embedding (Su et al. 2021) in Hugging Face's half-split form: with (x₁, x₂) the two halves of the
 * rotated part of a head, y₁ = x₁·cos − x₂·sin and y₂ = x₂·cos + x₁·sin. Inputs: x [B, T, H, D], cos and sin [P, R/2]
 * with R ≤ D (what lies beyond R passes through), and positions i32 [B, T] below P. The tables are made on the host in
 * double precision: shader sines are off by 2e-4 at these angles.
 */
export const ropeOp = defineOp<'rope', RopeAttrs>({
  name: 'rope',
  infer([x, cosine, sine, positions]) {
    const [batch, length, , size = 0] = x?.shape ?? [];
    const half = cosine?.shape[1];
    const fits =
      x?.shape.length === 4 &&
      x.dtype === 'f32' &&
      2 * half <= size &&
      positions?.dtype === 'i32' &&
      positions.shape.join() === `${batch},${length}`;
    if (!fits || cosine?.shape.join() !== sine?.shape.join()) {
      throw shapeError(
        'rope',
        'x [B, T, H, D], two tables [P, R/2] with R ≤ D, positions i32 [B, T]',
        [x, cosine, sine, positions].map((spec) => showShape(spec?.shape ?? [])).join(', '),
      );
    }
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  vjp({ inputs: [, cosine, sine, positions], attrs: { inverse }, cotangents: [g] }): Gradients {
    if (g === undefined || cosine === undefined || sine === undefined || positions === undefined) return [];
    return [apply(ropeOp, [g, cosine, sine, positions], { inverse: !inverse })];
  },
  reference({ inputs: [x, cosine, sine, positions], inputSpecs: [spec, table], outputs: [y], attrs: { inverse } }) {
    const [, , heads = 1, size = 1] = spec.shape;
    const half = table.shape[1];
    y.set(x);
    positions.forEach((position, token) => {
      for (let head = 0; head < heads; head++) {
        const start = (token * heads + head) * size;
        for (let i = 0; i < half; i++) {
          const c = cosine[position * half + i];
          const s = sine[position * half + i] * (inverse ? -1 : 1);
          const [first, second] = [x[start + i], x[start + half + i]];
          y[start + i] = first * c - second * s;
          y[start + half + i] = second * c + first * s;
        }
      }
    });
  },
  // A kernel turns both of a pair before it writes either.
  inPlace: [[0, 0]],
  halves: () => ({ inputs: [0], outputs: [0] }),
  flops: ([x]) => 3 * sizeOf(x?.shape ?? []),
});

const checkRope = signature('rope', { x: aTensor, cosine: aTensor, sine: aTensor, positions: aTensor });

/**
 * Rotary position embedding: the pair (x₁, x₂) of each head becomes (x₁·cos − x₂·sin, x₂·cos + x₁·sin), with x `[B, T,
 * H, D]`, tables `[P, R/2]`, positions i32 `[B, T]` (Su et al. 2021).
 *
 * @throws LowrankError `tensor.shape`
 */
export function rope(x: Tensor, cosine: Tensor, sine: Tensor, positions: Tensor): Tensor {
  checkRope(x, cosine, sine, positions);
  return apply(ropeOp, [x, cosine, sine, positions], { inverse: false });
}
