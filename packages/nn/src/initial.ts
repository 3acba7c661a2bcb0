import type { Rng, Shape, Tensor } from '@lowrank/tensor';
import { tensor } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';

/** Fresh weights, as PyTorch's layers begin with them. */

/** Uniform in [−bound, bound). */
export function uniform(shape: Shape, bound: number, rng: Rng): Tensor {
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => (2 * rng.uniform() - 1) * bound),
    shape,
  );
}

/** Standard normal. */
export function normal(shape: Shape, rng: Rng): Tensor {
  return tensor(
    Float32Array.from({ length: sizeOf(shape) }, () => rng.normal()),
    shape,
  );
}
