/** AdamW with its moments in 8 bits. */
import { max4, scratch } from './common';

const BLOCK: i32 = 256;

/*
 * This thread's scratch memory, in bytes from its start: both moments of a block in f32; the midpoints of either map,
 * between −∞ and ∞; where to look them up from.
 */
const SECONDS: usize = 1024;
const MIDDLES: usize = 2052;
const MIDDLES2: usize = 3080;
const STARTS: usize = 4104;

/* A magnitude's exponent and 6 bits of its mantissa choose a start, from 2⁻²⁴ to 1. */
const LOWEST: i32 = 103 << 6;
const COUNT: i32 = (24 << 6) + 1;
/** Fewer blocks than this are searched by halving: the starts would cost more than they save. */
const FEW: i32 = 8;

/**
 * adamw8bit: [p, g, m, v, scales, table, maps, lr, stepSize, biasScale, clip, newP, newM, newV, newScales, elements,
 * beta1, 1 − beta1, beta2, 1 − beta2, epsilon]; the numbers lr to clip are addresses. A unit is one block of 256
 * elements.
 */
export function adamw8bit(p: usize, begin: i32, end: i32): void {
  const clip = load<f32>(load<usize>(p, 40));
  const elements = load<i32>(p, 60);
  const oldP = load<usize>(p),
    oldM = load<usize>(p, 8),
    oldV = load<usize>(p, 12),
    oldScales = load<usize>(p, 16);
  const newP = load<usize>(p, 44),
    newM = load<usize>(p, 48),
    newV = load<usize>(p, 52),
    newScales = load<usize>(p, 56);
  if (!isFinite(clip)) {
    const start = <usize>(begin * BLOCK),
      count = <usize>min(elements, end * BLOCK) - start;
    if (newP != oldP) memory.copy(newP + (start << 2), oldP + (start << 2), count << 2);
    if (newM != oldM) memory.copy(newM + start, oldM + start, count);
    if (newV != oldV) memory.copy(newV + start, oldV + start, count);
    if (newScales != oldScales)
      memory.copy(newScales + ((<usize>begin) << 3), oldScales + ((<usize>begin) << 3), (<usize>(end - begin)) << 3);
    return;
  }
  const g = load<usize>(p, 4),
    table = load<usize>(p, 20),
    maps = load<usize>(p, 24);
  const lr = load<f32>(load<usize>(p, 28)),
    stepSize = load<f32>(load<usize>(p, 32)),
    biasScale = load<f32>(load<usize>(p, 36));
  const beta1 = load<f32>(p, 64),
    rest1 = load<f32>(p, 68),
    beta2 = load<f32>(p, 72),
    rest2 = load<f32>(p, 76),
    epsilon = load<f32>(p, 80);
  const firsts = scratch,
    seconds = scratch + SECONDS;
  const many = end - begin >= FEW;
  if (many) prepare(maps);
  for (let block = begin; block < end; block++) {
    const start = <usize>(block * BLOCK);
    const count = <usize>min(BLOCK, elements - block * BLOCK);
    const scale1 = load<f32>(oldScales + ((<usize>block) << 3)),
      scale2 = load<f32>(oldScales + ((<usize>block) << 3), 4);
    const quads = count & ~3;
    let most1 = f32x4.splat(0),
      most2 = f32x4.splat(0);
    for (let i: usize = 0; i < quads; i += 4) {
      const at = start + i;
      const line = table + ((at >> 6) << 3);
      const gradient = v128.mul<f32>(f32x4.splat(clip), v128.load(g + (at << 2)));
      const oldFirst = v128.mul<f32>(decode4(maps, oldM + at), f32x4.splat(scale1)),
        oldSecond = v128.mul<f32>(decode4(maps + 1024, oldV + at), f32x4.splat(scale2));
      const first = v128.add<f32>(
        v128.mul<f32>(f32x4.splat(beta1), oldFirst),
        v128.mul<f32>(f32x4.splat(rest1), gradient),
      );
      const second = v128.add<f32>(
        v128.mul<f32>(f32x4.splat(beta2), oldSecond),
        v128.mul<f32>(v128.mul<f32>(f32x4.splat(rest2), gradient), gradient),
      );
      const keep = f32x4.splat(1 - lr * load<f32>(line) * load<f32>(line, 4)),
        rate = f32x4.splat(stepSize * load<f32>(line));
      const divisor = v128.add<f32>(
        v128.mul<f32>(v128.sqrt<f32>(second), f32x4.splat(biasScale)),
        f32x4.splat(epsilon),
      );
      v128.store(
        newP + (at << 2),
        v128.sub<f32>(
          v128.mul<f32>(v128.load(oldP + (at << 2)), keep),
          v128.div<f32>(v128.mul<f32>(rate, first), divisor),
        ),
      );
      v128.store(firsts + (i << 2), first);
      v128.store(seconds + (i << 2), second);
      most1 = v128.max<f32>(most1, v128.abs<f32>(first));
      most2 = v128.max<f32>(most2, second);
    }
    let largest1 = max4(most1),
      largest2 = max4(most2);
    for (let i = quads; i < count; i++) {
      const at = start + i;
      const line = table + ((at >> 6) << 3);
      const multiplier = load<f32>(line);
      const gradient = clip * load<f32>(g + (at << 2));
      const first = beta1 * (load<f32>(maps + ((<usize>load<u8>(oldM + at)) << 2)) * scale1) + rest1 * gradient;
      const second =
        beta2 * (load<f32>(maps + ((<usize>load<u8>(oldV + at)) << 2), 1024) * scale2) + rest2 * gradient * gradient;
      const kept = load<f32>(oldP + (at << 2)) * (1 - lr * multiplier * load<f32>(line, 4));
      store<f32>(newP + (at << 2), kept - (stepSize * multiplier * first) / (sqrt(second) * biasScale + epsilon));
      store<f32>(firsts + (i << 2), first);
      store<f32>(seconds + (i << 2), second);
      largest1 = max(largest1, abs(first));
      largest2 = max(largest2, second);
    }
    // A block of zeros has no scale to divide by.
    const by1 = f32x4.splat(largest1 == 0 ? <f32>1 : largest1),
      by2 = f32x4.splat(largest2 == 0 ? <f32>1 : largest2);
    for (let i: usize = 0; i < count; i += 4) {
      v128.store(firsts + (i << 2), v128.div<f32>(v128.load(firsts + (i << 2)), by1));
      v128.store(seconds + (i << 2), v128.div<f32>(v128.load(seconds + (i << 2)), by2));
    }
    for (let i: usize = 0; i < count; i++) {
      const x = load<f32>(firsts + (i << 2)),
        y = load<f32>(seconds + (i << 2));
      let code = many ? near(x) : nearest(maps, x);
      if (x < 0 && load<f32>(maps + ((<usize>code) << 2)) == 0) code--;
      store<u8>(newM + start + i, <u8>code);
      store<u8>(
        newV + start + i,
        <u8>(many ? ascend(MIDDLES2, STARTS + <usize>(2 * COUNT), y) : nearest(maps + 1024, y)),
      );
    }
    store<f32>(newScales + ((<usize>block) << 3), largest1);
    store<f32>(newScales + ((<usize>block) << 3), largest2, 4);
  }
}

/** What four codes mean. */
// @inline
function decode4(map: usize, codes: usize): v128 {
  const one = v128.load_splat<f32>(map + ((<usize>load<u8>(codes)) << 2));
  const two = v128.load_lane<f32>(map + ((<usize>load<u8>(codes, 1)) << 2), one, 1);
  const three = v128.load_lane<f32>(map + ((<usize>load<u8>(codes, 2)) << 2), two, 2);
  return v128.load_lane<f32>(map + ((<usize>load<u8>(codes, 3)) << 2), three, 3);
}

/** The nearest of 256 ascending places. */
// @inline
function nearest(map: usize, x: f32): i32 {
  let code = 0;
  for (let step = 128; step > 0; step >>= 1) {
    const next = map + ((<usize>(code + step)) << 2);
    // Both neighbours are read, and no branch is taken: the outcome cannot be foretold.
    code += select<i32>(step, 0, <f32>0.5 * (load<f32>(next - 4) + load<f32>(next)) < x);
  }
  return code;
}

/**
 * Midpoints, and for each bucket of magnitudes the place of its smallest: of the first map upward and downward, of the
 * second upward.
 */
function prepare(maps: usize): void {
  for (let map: usize = 0; map < 2; map++) {
    const middles = scratch + (map == 0 ? MIDDLES : MIDDLES2);
    store<f32>(middles - 4, -Infinity);
    for (let i: usize = 0; i < 255; i++)
      store<f32>(
        middles + (i << 2),
        <f32>0.5 * (load<f32>(maps + (map << 10) + (i << 2)) + load<f32>(maps + (map << 10) + (i << 2), 4)),
      );
    store<f32>(middles + 1020, Infinity);
  }
  let up = nearest(maps, 0),
    down = up,
    up2 = nearest(maps + 1024, 0);
  for (let bucket = 0; bucket < COUNT; bucket++) {
    const smallest: f32 = bucket == 0 ? <f32>0 : reinterpret<f32>((LOWEST + bucket) << 17);
    while (load<f32>(scratch + MIDDLES + ((<usize>up) << 2)) < smallest) up++;
    while (load<f32>(scratch + MIDDLES + ((<usize>down) << 2) - 4) >= -smallest) down--;
    while (load<f32>(scratch + MIDDLES2 + ((<usize>up2) << 2)) < smallest) up2++;
    const at = scratch + STARTS + <usize>bucket;
    store<u8>(at, <u8>up);
    store<u8>(at + <usize>COUNT, <u8>down);
    store<u8>(at + <usize>(2 * COUNT), <u8>up2);
  }
}

/** What `nearest` finds in the first map. */
// @inline
function near(x: f32): i32 {
  if (x >= 0) return ascend(MIDDLES, STARTS, x);
  let code = <i32>load<u8>(scratch + STARTS + <usize>(COUNT + bucketOf(x)));
  while (load<f32>(scratch + MIDDLES + ((<usize>code) << 2) - 4) >= x) code--;
  return code;
}

// @inline
function ascend(middles: usize, starts: usize, x: f32): i32 {
  let code = <i32>load<u8>(scratch + starts + <usize>bucketOf(x));
  while (load<f32>(scratch + middles + ((<usize>code) << 2)) < x) code++;
  return code;
}

// @inline
function bucketOf(x: f32): i32 {
  return min(max((reinterpret<i32>(x) & 0x7fffffff) >> 17, LOWEST) - LOWEST, COUNT - 1);
}
