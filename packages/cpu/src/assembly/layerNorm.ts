/** layerNorm and its gradients. Parameter layouts are the word lists before each. */
import { sum4 } from './common';

/** Σ x over `count` elements, each block of 1,024 added up in f64. */
function sumOf(x: usize, count: i32): f64 {
  let total: f64 = 0;
  while (count >= 8) {
    const block = min(count, 1024) & ~7;
    let s0 = f32x4.splat(0),
      s1 = f32x4.splat(0);
    const end = x + ((<usize>block) << 2);
    for (; x < end; x += 32) {
      s0 = v128.add<f32>(s0, v128.load(x));
      s1 = v128.add<f32>(s1, v128.load(x, 16));
    }
    total += sum4(v128.add<f32>(s0, s1));
    count -= block;
  }
  for (; count > 0; count--, x += 4) total += <f64>load<f32>(x);
  return total;
}

/** Σ (x − a)·(y − b), likewise. */
function centeredDot(x: usize, a: f32, y: usize, b: f32, count: i32): f64 {
  let total: f64 = 0;
  const a4 = f32x4.splat(a),
    b4 = f32x4.splat(b);
  while (count >= 8) {
    const block = min(count, 1024) & ~7;
    let s0 = f32x4.splat(0),
      s1 = f32x4.splat(0);
    const end = x + ((<usize>block) << 2);
    for (; x < end; x += 32, y += 32) {
      s0 = v128.add<f32>(s0, v128.mul<f32>(v128.sub<f32>(v128.load(x), a4), v128.sub<f32>(v128.load(y), b4)));
      s1 = v128.add<f32>(s1, v128.mul<f32>(v128.sub<f32>(v128.load(x, 16), a4), v128.sub<f32>(v128.load(y, 16), b4)));
    }
    total += sum4(v128.add<f32>(s0, s1));
    count -= block;
  }
  for (; count > 0; count--, x += 4, y += 4) total += <f64>(load<f32>(x) - a) * <f64>(load<f32>(y) - b);
  return total;
}

// @inline
function meanOf(x: usize, width: i32): f32 {
  return <f32>(sumOf(x, width) / <f64>width);
}

/** 1/√(mean((x − μ)²) + ε). */
// @inline
function factorOf(x: usize, mean: f32, width: i32, epsilon: f32): f32 {
  return <f32>(1 / sqrt<f64>(centeredDot(x, mean, x, mean, width) / <f64>width + <f64>epsilon));
}

/** layerNorm: [x, w, b, y, width, epsilon]. A unit is a row. */
export function layerNorm(p: usize, begin: i32, end: i32): void {
  const w = load<usize>(p, 4),
    b = load<usize>(p, 8);
  const width = load<i32>(p, 16);
  const epsilon = load<f32>(p, 20);
  const bytes = (<usize>width) << 2;
  const whole = bytes & ~15;
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + <usize>row * bytes;
    const y = load<usize>(p, 12) + <usize>row * bytes;
    const mean = meanOf(x, width);
    const factor = factorOf(x, mean, width, epsilon);
    const mean4 = f32x4.splat(mean),
      factor4 = f32x4.splat(factor);
    let i: usize = 0;
    for (; i < whole; i += 16) {
      const normed = v128.mul<f32>(v128.sub<f32>(v128.load(x + i), mean4), factor4);
      v128.store(y + i, v128.add<f32>(v128.mul<f32>(normed, v128.load(w + i)), v128.load(b + i)));
    }
    for (; i < bytes; i += 4)
      store<f32>(y + i, (load<f32>(x + i) - mean) * factor * load<f32>(w + i) + load<f32>(b + i));
  }
}

/** layerNormBackward: [x, w, g, dx, width, epsilon]. A unit is a row; dx may be g. */
export function layerNormBackward(p: usize, begin: i32, end: i32): void {
  const w = load<usize>(p, 4);
  const width = load<i32>(p, 16);
  const epsilon = load<f32>(p, 20);
  const bytes = (<usize>width) << 2;
  const whole = bytes & ~15;
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + <usize>row * bytes;
    const g = load<usize>(p, 8) + <usize>row * bytes;
    const dx = load<usize>(p, 12) + <usize>row * bytes;
    const mean = meanOf(x, width);
    const factor = factorOf(x, mean, width, epsilon);
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(dx + i, v128.mul<f32>(v128.load(g + i), v128.load(w + i)));
    for (; i < bytes; i += 4) store<f32>(dx + i, load<f32>(g + i) * load<f32>(w + i));
    const shift = meanOf(dx, width);
    const scale = <f32>(centeredDot(x, mean, dx, 0, width) / <f64>width) * factor * factor;
    const mean4 = f32x4.splat(mean),
      factor4 = f32x4.splat(factor),
      shift4 = f32x4.splat(shift),
      scale4 = f32x4.splat(scale);
    i = 0;
    for (; i < whole; i += 16) {
      const part = v128.mul<f32>(v128.sub<f32>(v128.load(x + i), mean4), scale4);
      v128.store(dx + i, v128.mul<f32>(factor4, v128.sub<f32>(v128.sub<f32>(v128.load(dx + i), shift4), part)));
    }
    for (; i < bytes; i += 4)
      store<f32>(dx + i, factor * (load<f32>(dx + i) - shift - (load<f32>(x + i) - mean) * scale));
  }
}

/**
 * layerNormWeightGradient: [x, g, rows, width, epsilon, partial, rowsPerUnit]. A unit adds its rows up in f64 and
 * leaves them at partial[unit·width…] (f64); `sumPartials` brings the units together.
 */
export function layerNormWeightGradient(p: usize, begin: i32, end: i32): void {
  const rows = load<i32>(p, 8),
    width = load<i32>(p, 12);
  const epsilon = load<f32>(p, 16);
  const rowsPerUnit = load<i32>(p, 24);
  for (let unit = begin; unit < end; unit++) {
    const partial = load<usize>(p, 20) + ((<usize>unit * <usize>width) << 3);
    memory.fill(partial, 0, (<usize>width) << 3);
    const last = min(rows, (unit + 1) * rowsPerUnit);
    for (let row = unit * rowsPerUnit; row < last; row++) {
      const x = load<usize>(p) + ((<usize>row * <usize>width) << 2);
      const g = load<usize>(p, 4) + ((<usize>row * <usize>width) << 2);
      const mean = meanOf(x, width);
      const factor = <f64>factorOf(x, mean, width, epsilon);
      for (let i = 0; i < width; i++) {
        const at = partial + ((<usize>i) << 3);
        store<f64>(
          at,
          load<f64>(at) +
            <f64>(load<f32>(x + ((<usize>i) << 2)) - mean) * <f64>load<f32>(g + ((<usize>i) << 2)) * factor,
        );
      }
    }
  }
}
