import { Rng } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import type { ConfigReader } from './config.js';
import type { WeightRequest } from './weights.js';

/**
 * Values of a weight that no checkpoint has, as transformers begins: matrices normal with the deviation of the config's
 * `initializer_range`, biases 0, norms 1. They depend on the seed and the weight's name alone.
 */
export function freshValues(
  { name, shape }: WeightRequest,
  { config, seed = 0 }: { readonly config: ConfigReader; readonly seed?: number | undefined },
): Float32Array {
  if (shape.length < 2) return new Float32Array(sizeOf(shape)).fill(name.endsWith('.bias') ? 0 : 1);
  const deviation = config.optionalNumber('initializer_range') ?? 0.02;
  const rng = new Rng(seed, hashOf(name));
  return Float32Array.from({ length: sizeOf(shape) }, () => deviation * rng.normal());
}

/** FNV-1a. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}
