/** The smallest logit of a row that top-k, top-p and min-p let pass: bisections, no sorting. */
import { sum4 } from './common';
import { exp4, log1 } from './math';

/**
 * sampleThreshold: [x, temperature, topK, topP, minP, y, width, weights]. A unit is a row; `weights` is scratch memory,
 * twice as large as x.
 */
export function sampleThreshold(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 24);
  const bytes = (<usize>width) << 2;
  const temperature = load<f32>(load<usize>(p, 4));
  const heat: f32 = temperature > 0 ? temperature : 1;
  const count = load<f32>(load<usize>(p, 8));
  const limit = load<f32>(load<usize>(p, 12));
  const fraction = load<f32>(load<usize>(p, 16));
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + <usize>row * bytes;
    let least = Infinity as f32;
    let top = -Infinity as f32;
    for (let i: usize = 0; i < bytes; i += 4) {
      least = min(least, load<f32>(x + i));
      top = max(top, load<f32>(x + i));
    }
    if (count >= 1 && count < <f32>width) least = kthLargest(x, bytes, <i32>count);
    if (limit < 1) {
      const weights = load<usize>(p, 28) + 2 * <usize>row * bytes;
      const total = weigh(x, bytes, weights, top, least, heat);
      // What is less likely than this goes for certain: all of it together is less than 1 − limit.
      const kept = compact(x, bytes, weights, <f32>((((1 - <f64>limit) * total) / <f64>width) * 0.999));
      least = nucleus(weights, kept, bytes, <f64>limit * total);
    }
    if (fraction > 0) least = max(least, min(top, top + heat * log1(fraction)));
    store<f32>(load<usize>(p, 20) + ((<usize>row) << 2), least);
  }
}

/** A number in the order of the floats: larger float, larger key. */
// @inline
function keyOf(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

/** The largest key that at least k elements reach is the k-th largest element's. */
function kthLargest(x: usize, bytes: usize, k: i32): f32 {
  let low: u32 = 0;
  let high: u32 = 0xffffffff;
  while (high - low > 1) {
    const middle = low + (high - low) / 2;
    let reached = 0;
    for (let i: usize = 0; i < bytes; i += 4) reached += i32(keyOf(load<f32>(x + i)) >= middle);
    if (reached >= k) low = middle;
    else high = middle;
    if (reached == k) break;
  }
  let least = Infinity as f32;
  for (let i: usize = 0; i < bytes; i += 4) {
    const value = load<f32>(x + i);
    if (keyOf(value) >= low) least = min(least, value);
  }
  return least;
}

/** Writes e^((x − top)/heat), 0 below `least`, and returns the sum. */
function weigh(x: usize, bytes: usize, weights: usize, top: f32, least: f32, heat: f32): f64 {
  const top4 = f32x4.splat(top);
  const least4 = f32x4.splat(least);
  const heat4 = f32x4.splat(heat);
  let total: f64 = 0;
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const value = v128.load(x + i);
    const weight = v128.and(exp4(v128.div<f32>(v128.sub<f32>(value, top4), heat4)), v128.ge<f32>(value, least4));
    v128.store(weights + i, weight);
    total += sum4(weight);
  }
  for (; i < bytes; i += 4) {
    const value = load<f32>(x + i);
    const weight = value < least ? (0 as f32) : f32x4.extract_lane(exp4(f32x4.splat((value - top) / heat)), 0);
    store<f32>(weights + i, weight);
    total += weight;
  }
  return total;
}

/**
 * Moves weights of at least `bound` to the front, their elements behind the weights' own memory; returns their bytes.
 */
function compact(x: usize, bytes: usize, weights: usize, bound: f32): usize {
  let kept: usize = 0;
  for (let i: usize = 0; i < bytes; i += 4) {
    const weight = load<f32>(weights + i);
    if (!(weight >= bound && weight > 0)) continue;
    store<f32>(weights + kept, weight);
    store<f32>(weights + bytes + kept, load<f32>(x + i));
    kept += 4;
  }
  return kept;
}

/**
 * The smallest element whose likelier ones weigh less than `limit` together; weights of at least 0 have the order of
 * their bits.
 */
function nucleus(weights: usize, kept: usize, bytes: usize, limit: f64): f32 {
  let low: u32 = 0;
  let high = reinterpret<u32>(<f32>1);
  while (low < high) {
    const middle = low + (high - low) / 2;
    const bound = reinterpret<f32>(middle);
    let likelier: f64 = 0;
    for (let i: usize = 0; i < kept; i += 4) {
      const weight = load<f32>(weights + i);
      likelier += weight > bound ? <f64>weight : 0;
    }
    if (likelier < limit) high = middle;
    else low = middle + 1;
  }
  const bound = reinterpret<f32>(high);
  let least = Infinity as f32;
  for (let i: usize = 0; i < kept; i += 4)
    if (load<f32>(weights + i) >= bound) least = min(least, load<f32>(weights + bytes + i));
  return least;
}
