import { streamOf } from '@lowrank/patch';
import type { Tensor } from '@lowrank/tensor';
import { Rng } from '@lowrank/tensor';
import { deferred } from '@lowrank/tensor/op';

/**
 * Normal numbers, made when they are needed: from seed and name, so that each tensor gets the same whatever the others
 * are.
 */
export function normalTensor(
  shape: readonly number[],
  name: string,
  { seed = 0, deviation = 1 }: { seed?: number | undefined; deviation?: number },
): Tensor {
  const draw = (): Float32Array => {
    const rng = new Rng(seed, streamOf(name));
    return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => deviation * rng.normal());
  };
  return deferred(draw, shape, { name });
}
