import type { Rng } from '@lowrank/tensor';

/**
 * Keeps the ⌊density·n⌋ values of the largest magnitude and sets the others to 0; of equal magnitudes the first go
 * before (TIES, Yadav et al. 2023, "trim"; PEFT's magnitude_based_pruning).
 *
 * @param density from 0 to 1
 */
export function magnitudePrune(values: Float32Array, density: number): Float32Array {
  const keep = Math.trunc(density * values.length);
  if (keep >= values.length) return values.slice();
  const result = new Float32Array(values.length);
  if (keep === 0) return result;
  const threshold = kthLargest(values, keep);
  let above = 0;
  for (let at = 0; at < values.length; at++) if (Math.abs(values[at]) > threshold) above++;
  let atThreshold = keep - above;
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    const magnitude = Math.abs(value);
    if (magnitude > threshold || (magnitude === threshold && atThreshold-- > 0)) result[at] = value;
  }
  return result;
}

/**
 * The k-th largest magnitude, k from 1. Magnitudes are ordered as their bits are, so two counts of 16 bits each find
 * it, in O(n).
 */
function kthLargest(values: Float32Array, k: number): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upper = kthSlot(upperHalves(bits), k);
  const lower = kthSlot(lowerHalves(bits, upper.slot), upper.left);
  return new Float32Array(Uint32Array.of((upper.slot << 16) | lower.slot).buffer)[0];
}

function upperHalves(bits: Uint32Array): Uint32Array {
  const counts = new Uint32Array(2 ** 15);
  for (let at = 0; at < bits.length; at++) {
    const slot = (bits[at] & 0x7fffffff) >>> 16;
    counts[slot]++;
  }
  return counts;
}

function lowerHalves(bits: Uint32Array, upper: number): Uint32Array {
  const counts = new Uint32Array(2 ** 16);
  for (let at = 0; at < bits.length; at++) {
    const magnitude = bits[at] & 0x7fffffff;
    if (magnitude >>> 16 !== upper) continue;
    const slot = magnitude & 0xffff;
    counts[slot]++;
  }
  return counts;
}

/** Where the k-th counted from above is, and which it is there. */
function kthSlot(counts: Uint32Array, k: number): { readonly slot: number; readonly left: number } {
  let [slot, left] = [counts.length - 1, k];
  for (; slot > 0 && counts[slot] < left; slot--) left -= counts[slot];
  return { slot, left };
}

/**
 * Keeps each value with a probability of `density`, divided by it, so that the mean stays (DARE, Yu et al. 2023).
 *
 * @param density above 0, to 1
 */
export function randomPrune(values: Float32Array, density: number, rng: Rng): Float32Array {
  return density >= 1 ? values.slice() : values.map((value) => (rng.uniform() < density ? value / density : 0));
}
