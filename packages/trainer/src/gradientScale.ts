import { grad, mul } from '@lowrank/tensor';
import type { Tensor, TensorLike } from '@lowrank/tensor';

/** Numbers that gradients are multiplied by on their way through the network, and in the end. */
export interface GradientScale {
  readonly up: TensorLike;
  readonly down: TensorLike;
}

/**
 * The factor on a loss that is divided by `weight`, before gradients pass through operands of 16 bits: each label token
 * has a share of 1/weight in the loss, and the gradient of its logits, at most that, becomes at most 12. A power of
 * two, so that f32 numbers keep all their digits; where operands are f32 there is none.
 *
 * f16 holds 6·10⁻⁵ to 65,504 in full precision. Gradients that leave that range upwards make the gradient infinite,
 * which a run sees (`onNan`).
 */
export function gradientScaleFor(weight: number): number {
  return 2 ** (Math.round(Math.log2(Math.max(weight, 1))) + 3);
}

/** The gradients of a loss, which pass through the network `up` times larger. */
export function scaledGrad(loss: Tensor, wrt: readonly Tensor[], scale: GradientScale | undefined): Tensor[] {
  if (scale === undefined) return grad(loss, wrt);
  return grad(mul(loss, scale.up), wrt).map((gradient) => mul(gradient, scale.down));
}
