import { Rng, tensor } from '@lowrank/tensor';
import type { Tensor } from '@lowrank/tensor';

/** Tensors of normal numbers of deviation 0.3, one after the other out of one stream. */
export function randomTensors(seed: number): (...shape: number[]) => Tensor {
  const rng = new Rng(seed);
  return (...shape) =>
    tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => rng.normal() * 0.3),
      shape,
    );
}
