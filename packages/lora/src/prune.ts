import type { Rng } from '@lowrank/tensor';

/**
 * Keeps the ⌊density·n⌋ values of the largest magnitude and sets the others to 0; of equal magnitudes the first go before (TIES, Yadav et al. 2023, "trim"; PEFT's magnitude_based_pruning).
 *
 * @param density from 0 to 1
 */
export function magnitudePrune(values: Float32Array, density: number): Float32Array {
  const keep = Math.trunc(density * values.length);
  if (keep >= values.length) return values.slice();
  const result = new Float32Array(values.length);
  if (keep === 0) return result;
  const magnitudes = values.map(Math.abs).sort();
  const threshold = magnitudes[values.length - keep] ?? NaN;
  let atThreshold = keep - magnitudes.reduce((count, magnitude) => (magnitude > threshold ? count + 1 : count), 0);
  for (const [at, value] of values.entries()) {
    const magnitude = Math.abs(value);
    if (magnitude > threshold || (magnitude === threshold && atThreshold-- > 0)) result[at] = value;
  }
  return result;
}

/**
 * Keeps each value with a probability of `density`, divided by it, so that the mean stays (DARE, Yu et al. 2023).
 *
 * @param density above 0, to 1
 */
export function randomPrune(values: Float32Array, density: number, rng: Rng): Float32Array {
  return density >= 1 ? values.slice() : values.map((value) => (rng.uniform() < density ? value / density : 0));
}
