/** AdamW with its moments in 8 bits. */
import { scratch } from './common';

const BLOCK: i32 = 256;

/**
 * adamw8bit: [p, g, m, v, scales, table, maps, lr, stepSize, biasScale, clip, newP, newM, newV, newScales, elements, beta1, 1 − beta1, beta2, 1 − beta2,
 * epsilon]; the numbers lr to clip are addresses. A unit is one block of 256 elements. Scratch: both moments of a block in f32.
 */
export function adamw8bit(p: usize, begin: i32, end: i32): void {
  const clip = load<f32>(load<usize>(p, 40));
  const elements = load<i32>(p, 60);
  const oldP = load<usize>(p), oldM = load<usize>(p, 8), oldV = load<usize>(p, 12), oldScales = load<usize>(p, 16);
  const newP = load<usize>(p, 44), newM = load<usize>(p, 48), newV = load<usize>(p, 52), newScales = load<usize>(p, 56);
  if (!isFinite(clip)) {
    const start = <usize>(begin * BLOCK), count = <usize>min(elements, end * BLOCK) - start;
    if (newP != oldP) memory.copy(newP + (start << 2), oldP + (start << 2), count << 2);
    if (newM != oldM) memory.copy(newM + start, oldM + start, count);
    if (newV != oldV) memory.copy(newV + start, oldV + start, count);
    if (newScales != oldScales) memory.copy(newScales + (<usize>begin << 3), oldScales + (<usize>begin << 3), <usize>(end - begin) << 3);
    return;
  }
  const g = load<usize>(p, 4), table = load<usize>(p, 20), maps = load<usize>(p, 24);
  const lr = load<f32>(load<usize>(p, 28)), stepSize = load<f32>(load<usize>(p, 32)), biasScale = load<f32>(load<usize>(p, 36));
  const beta1 = load<f32>(p, 64), rest1 = load<f32>(p, 68), beta2 = load<f32>(p, 72), rest2 = load<f32>(p, 76), epsilon = load<f32>(p, 80);
  const firsts = scratch, seconds = scratch + (<usize>BLOCK << 2);
  for (let block = begin; block < end; block++) {
    const start = <usize>(block * BLOCK);
    const count = <usize>min(BLOCK, elements - block * BLOCK);
    const scale1 = load<f32>(oldScales + (<usize>block << 3)), scale2 = load<f32>(oldScales + (<usize>block << 3), 4);
    let largest1: f32 = 0, largest2: f32 = 0;
    for (let i: usize = 0; i < count; i++) {
      const at = start + i;
      const line = table + ((at >> 6) << 3);
      const multiplier = load<f32>(line);
      const gradient = clip * load<f32>(g + (at << 2));
      const first = beta1 * (load<f32>(maps + (<usize>load<u8>(oldM + at) << 2)) * scale1) + rest1 * gradient;
      const second = beta2 * (load<f32>(maps + (<usize>load<u8>(oldV + at) << 2), 1024) * scale2) + rest2 * gradient * gradient;
      const kept = load<f32>(oldP + (at << 2)) * (1 - lr * multiplier * load<f32>(line, 4));
      store<f32>(newP + (at << 2), kept - stepSize * multiplier * first / (sqrt(second) * biasScale + epsilon));
      store<f32>(firsts + (i << 2), first);
      store<f32>(seconds + (i << 2), second);
      largest1 = max(largest1, abs(first));
      largest2 = max(largest2, second);
    }
    for (let i: usize = 0; i < count; i++) {
      const first = load<f32>(firsts + (i << 2));
      let code = nearest(maps, largest1 == 0 ? 0 : first / largest1);
      if (first < 0 && load<f32>(maps + (<usize>code << 2)) == 0) code--;
      store<u8>(newM + start + i, <u8>code);
      store<u8>(newV + start + i, <u8>nearest(maps + 1024, largest2 == 0 ? 0 : load<f32>(seconds + (i << 2)) / largest2));
    }
    store<f32>(newScales + (<usize>block << 3), largest1);
    store<f32>(newScales + (<usize>block << 3), largest2, 4);
  }
}

/** The nearest of 256 ascending places. */
// @ts-ignore: decorator
@inline
function nearest(map: usize, x: f32): i32 {
  let code = 0;
  for (let step = 128; step > 0; step >>= 1) {
    const next = map + (<usize>(code + step) << 2);
    // Both neighbours are read, and no branch is taken: the outcome cannot be foretold.
    code += select<i32>(step, 0, <f32>0.5 * (load<f32>(next - 4) + load<f32>(next)) < x);
  }
  return code;
}
