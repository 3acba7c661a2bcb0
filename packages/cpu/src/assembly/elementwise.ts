/**
 * The interpreter of fused elementwise programs. A unit is 256 elements: every instruction is one SIMD loop over the
 * block, its operands are either the input's own memory, or 1 KiB slots in this thread's scratch memory, so a whole
 * program runs in the first-level cache.
 */
import { scratch } from './common';
import { exp4, geluTanh4, log1, normalCdf4, sigmoid4, sign4, sine1, tanh4 } from './math';
import { Fn } from '../kernelIds';

const BLOCK: i32 = 256;

/**
 * Copies elements [start, start + count) of the broadcast input to `to`. description: [base, rank, then per collapsed
 * axis from the outermost: size, stride in elements].
 */
function gather(description: usize, start: i32, count: i32, to: usize): void {
  const base = load<usize>(description);
  const rank = load<i32>(description, 4);
  const axes = description + 8;
  const inner = load<i32>(axes + ((<usize>(rank - 1)) << 3));
  const innerStride = (<usize>load<i32>(axes + ((<usize>(rank - 1)) << 3), 4)) << 2;
  let rest = start / inner;
  let within = start - rest * inner;
  while (count > 0) {
    let at = base;
    let index = rest;
    for (let axis = rank - 2; axis >= 0; axis--) {
      const size = load<i32>(axes + ((<usize>axis) << 3));
      const quotient = index / size;
      at += (<usize>((index - quotient * size) * load<i32>(axes + ((<usize>axis) << 3), 4))) << 2;
      index = quotient;
    }
    at += <usize>within * innerStride;
    const run = min(inner - within, count);
    if (innerStride == 4) {
      memory.copy(to, at, (<usize>run) << 2);
      to += (<usize>run) << 2;
    } else {
      for (let i = 0; i < run; i++) {
        store<f32>(to, load<f32>(at));
        to += 4;
        at += innerStride;
      }
    }
    count -= run;
    within = 0;
    rest++;
  }
}

/** min(1, maximum/(√norm² + 1e-6)) of torch.nn.utils.clip_grad_norm_; NaN where the norm is not finite. */
function clipScale(squaredNorm: f32, maximum: f32): f32 {
  if (!isFinite(squaredNorm)) return NaN;
  return maximum > 0 ? <f32>min<f64>(1, <f64>maximum / (sqrt<f64>(<f64>squaredNorm) + 1e-6)) : 1;
}

/**
 * One instruction over `bytes` (a multiple of 16 may be overrun within slots; `to` gets exactly the vectors that cover
 * it).
 */
function execute(fn: i32, a: usize, b: usize, c: usize, to: usize, bytes: usize): void {
  let i: usize = 0;
  switch (fn) {
    case Fn.copy:
      memory.copy(to, a, bytes);
      break;
    case Fn.neg:
      for (; i < bytes; i += 16) v128.store(to + i, v128.neg<f32>(v128.load(a + i)));
      break;
    case Fn.exp:
      for (; i < bytes; i += 16) v128.store(to + i, exp4(v128.load(a + i)));
      break;
    case Fn.log:
      for (; i < bytes; i += 4) store<f32>(to + i, log1(load<f32>(a + i)));
      break;
    case Fn.sqrt:
      for (; i < bytes; i += 16) v128.store(to + i, v128.sqrt<f32>(v128.load(a + i)));
      break;
    case Fn.rsqrt:
      for (; i < bytes; i += 16) v128.store(to + i, v128.div<f32>(f32x4.splat(1), v128.sqrt<f32>(v128.load(a + i))));
      break;
    case Fn.square:
      for (; i < bytes; i += 16) {
        const x = v128.load(a + i);
        v128.store(to + i, v128.mul<f32>(x, x));
      }
      break;
    case Fn.abs:
      for (; i < bytes; i += 16) v128.store(to + i, v128.abs<f32>(v128.load(a + i)));
      break;
    case Fn.sign:
      for (; i < bytes; i += 16) v128.store(to + i, sign4(v128.load(a + i)));
      break;
    case Fn.floor:
      for (; i < bytes; i += 16) v128.store(to + i, v128.floor<f32>(v128.load(a + i)));
      break;
    case Fn.sin:
      for (; i < bytes; i += 4) store<f32>(to + i, sine1(load<f32>(a + i), 0));
      break;
    case Fn.cos:
      for (; i < bytes; i += 4) store<f32>(to + i, sine1(load<f32>(a + i), 1));
      break;
    case Fn.tanh:
      for (; i < bytes; i += 16) v128.store(to + i, tanh4(v128.load(a + i)));
      break;
    case Fn.sigmoid:
      for (; i < bytes; i += 16) v128.store(to + i, sigmoid4(v128.load(a + i)));
      break;
    case Fn.silu:
      for (; i < bytes; i += 16) {
        const x = v128.load(a + i);
        v128.store(to + i, v128.mul<f32>(x, sigmoid4(x)));
      }
      break;
    case Fn.geluTanh:
      for (; i < bytes; i += 16) v128.store(to + i, geluTanh4(v128.load(a + i)));
      break;
    case Fn.normalCdf:
      for (; i < bytes; i += 16) v128.store(to + i, normalCdf4(v128.load(a + i)));
      break;
    case Fn.gelu:
      for (; i < bytes; i += 16) {
        const x = v128.load(a + i);
        v128.store(to + i, v128.mul<f32>(x, normalCdf4(x)));
      }
      break;
    case Fn.relu:
      for (; i < bytes; i += 16) v128.store(to + i, v128.max<f32>(v128.load(a + i), f32x4.splat(0)));
      break;
    case Fn.add:
      for (; i < bytes; i += 16) v128.store(to + i, v128.add<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.sub:
      for (; i < bytes; i += 16) v128.store(to + i, v128.sub<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.mul:
      for (; i < bytes; i += 16) v128.store(to + i, v128.mul<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.div:
      for (; i < bytes; i += 16) v128.store(to + i, v128.div<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.minimum:
      for (; i < bytes; i += 16) v128.store(to + i, v128.min<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.maximum:
      for (; i < bytes; i += 16) v128.store(to + i, v128.max<f32>(v128.load(a + i), v128.load(b + i)));
      break;
    case Fn.less:
      for (; i < bytes; i += 16)
        v128.store(to + i, v128.and(v128.lt<f32>(v128.load(a + i), v128.load(b + i)), f32x4.splat(1)));
      break;
    case Fn.lessEqual:
      for (; i < bytes; i += 16)
        v128.store(to + i, v128.and(v128.le<f32>(v128.load(a + i), v128.load(b + i)), f32x4.splat(1)));
      break;
    case Fn.equal:
      for (; i < bytes; i += 16)
        v128.store(to + i, v128.and(v128.eq<f32>(v128.load(a + i), v128.load(b + i)), f32x4.splat(1)));
      break;
    case Fn.isFinite:
      // |x| < ∞ is false for NaN too.
      for (; i < bytes; i += 16)
        v128.store(
          to + i,
          v128.and(v128.lt<f32>(v128.abs<f32>(v128.load(a + i)), f32x4.splat(<f32>Infinity)), f32x4.splat(1)),
        );
      break;
    case Fn.select:
      for (; i < bytes; i += 16)
        v128.store(
          to + i,
          v128.bitselect(v128.load(b + i), v128.load(c + i), v128.ne<f32>(v128.load(a + i), f32x4.splat(0))),
        );
      break;
    case Fn.clipScale:
      for (; i < bytes; i += 4) store<f32>(to + i, clipScale(load<f32>(a + i), load<f32>(b + i)));
      break;
    default:
      unreachable();
  }
}

/**
 * elementwise: [0 elements, 1 out, 2 operands, 3 instructions, 4 result, then 4 words per operand: kind, value, slot,
 * 0; then 5 words per instruction: fn, a, b, c, target]. An operand's kind: 0 whole (value: its address), 1 one number
 * (its address), 2 a constant (its bits), 3 broadcast (address of a description for `gather`). Arguments are operand
 * numbers below `operands`, else slots: operands + slot. target is a slot; slots are 1 KiB of scratch.
 */
export function elementwise(p: usize, begin: i32, end: i32): void {
  const elements = load<i32>(p);
  const out = load<usize>(p, 4);
  const operands = load<i32>(p, 8),
    instructions = load<i32>(p, 12);
  const result = load<i32>(p, 16);
  const inputs = p + 20;
  const code = inputs + ((<usize>operands) << 4);
  for (let i = 0; i < operands; i++) {
    const input = inputs + ((<usize>i) << 4);
    const kind = load<i32>(input);
    if (kind != 1 && kind != 2) continue;
    const value = f32x4.splat(kind == 1 ? load<f32>(load<usize>(input, 4)) : load<f32>(input, 4));
    const slot = scratch + (load<usize>(input, 8) << 10);
    for (let j: usize = 0; j < 1024; j += 16) v128.store(slot + j, value);
  }
  for (let unit = begin; unit < end; unit++) {
    const start = unit * BLOCK;
    const count = min(BLOCK, elements - start);
    const bytes = (<usize>count) << 2;
    for (let i = 0; i < operands; i++) {
      const input = inputs + ((<usize>i) << 4);
      if (load<i32>(input) == 3) gather(load<usize>(input, 4), start, count, scratch + (load<usize>(input, 8) << 10));
    }
    for (let k = 0; k < instructions; k++) {
      const instruction = code + <usize>k * 20;
      const a = place(inputs, operands, load<i32>(instruction, 4), start);
      const b = place(inputs, operands, load<i32>(instruction, 8), start);
      const c = place(inputs, operands, load<i32>(instruction, 12), start);
      const target = scratch + (load<usize>(instruction, 16) << 10);
      // Whole blocks of the last instruction go straight to the output; the last, partial block through a slot.
      const direct = k == instructions - 1 && count == BLOCK && result >= operands;
      execute(load<i32>(instruction), a, b, c, direct ? out + ((<usize>start) << 2) : target, bytes);
    }
    if (count < BLOCK || result < operands)
      memory.copy(out + ((<usize>start) << 2), place(inputs, operands, result, start), bytes);
  }
}

// @inline
function place(inputs: usize, operands: i32, argument: i32, start: i32): usize {
  if (argument >= operands) return scratch + ((<usize>(argument - operands)) << 10);
  const input = inputs + ((<usize>argument) << 4);
  if (load<i32>(input) == 0) return load<usize>(input, 4) + ((<usize>start) << 2);
  return scratch + (load<usize>(input, 8) << 10);
}
