/** Kernels over rows: norms, rope, SwiGLU, cross-entropy, argmax. Parameter layouts are the word lists before each. */
import { max4, scratch, sum4 } from './common';
import { exp4, log1, sigmoid4 } from './math';

/** Σ x·y over `count` elements: four vectors of partial sums, each block of 1,024 elements added up in f64. */
function dotOf(x: usize, y: usize, count: i32): f64 {
  let total: f64 = 0;
  while (count >= 16) {
    const block = min(count, 1024) & ~15;
    let s0 = f32x4.splat(0),
      s1 = f32x4.splat(0),
      s2 = f32x4.splat(0),
      s3 = f32x4.splat(0);
    const end = x + ((<usize>block) << 2);
    while (x < end) {
      s0 = v128.add<f32>(s0, v128.mul<f32>(v128.load(x), v128.load(y)));
      s1 = v128.add<f32>(s1, v128.mul<f32>(v128.load(x, 16), v128.load(y, 16)));
      s2 = v128.add<f32>(s2, v128.mul<f32>(v128.load(x, 32), v128.load(y, 32)));
      s3 = v128.add<f32>(s3, v128.mul<f32>(v128.load(x, 48), v128.load(y, 48)));
      x += 64;
      y += 64;
    }
    total += sum4(v128.add<f32>(v128.add<f32>(s0, s1), v128.add<f32>(s2, s3)));
    count -= block;
  }
  for (; count > 0; count--) {
    total += <f64>load<f32>(x) * <f64>load<f32>(y);
    x += 4;
    y += 4;
  }
  return total;
}

/** 1/√(mean(x²) + ε). */
// @inline
function rmsFactor(x: usize, width: i32, epsilon: f32): f32 {
  return <f32>(1 / sqrt<f64>(dotOf(x, x, width) / <f64>width + <f64>epsilon));
}

/** rmsNorm: [x, w, y, width, epsilon]. A unit is a row. */
export function rmsNorm(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 12);
  const epsilon = load<f32>(p, 16);
  const w = load<usize>(p, 4);
  const bytes = (<usize>width) << 2;
  const whole = bytes & ~15;
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + <usize>row * bytes;
    const y = load<usize>(p, 8) + <usize>row * bytes;
    const factor = rmsFactor(x, width, epsilon);
    const factor4 = f32x4.splat(factor);
    let i: usize = 0;
    for (; i < whole; i += 16)
      v128.store(y + i, v128.mul<f32>(v128.mul<f32>(v128.load(x + i), factor4), v128.load(w + i)));
    for (; i < bytes; i += 4) store<f32>(y + i, load<f32>(x + i) * factor * load<f32>(w + i));
  }
}

/** rmsNormBackward: [x, w, g, dx, width, epsilon]. A unit is a row; dx may be g. */
export function rmsNormBackward(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 16);
  const epsilon = load<f32>(p, 20);
  const w = load<usize>(p, 4);
  const bytes = (<usize>width) << 2;
  const whole = bytes & ~15;
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + <usize>row * bytes;
    const g = load<usize>(p, 8) + <usize>row * bytes;
    const dx = load<usize>(p, 12) + <usize>row * bytes;
    const factor = rmsFactor(x, width, epsilon);
    const factor4 = f32x4.splat(factor);
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(dx + i, v128.mul<f32>(v128.load(g + i), v128.load(w + i)));
    for (; i < bytes; i += 4) store<f32>(dx + i, load<f32>(g + i) * load<f32>(w + i));
    const scale = <f32>(dotOf(x, dx, width) / <f64>width) * factor * factor;
    const scale4 = f32x4.splat(scale);
    i = 0;
    for (; i < whole; i += 16) {
      v128.store(
        dx + i,
        v128.mul<f32>(factor4, v128.sub<f32>(v128.load(dx + i), v128.mul<f32>(v128.load(x + i), scale4))),
      );
    }
    for (; i < bytes; i += 4) store<f32>(dx + i, factor * (load<f32>(dx + i) - load<f32>(x + i) * scale));
  }
}

/**
 * rmsNormWeightGradient: [x, g, rows, width, epsilon, partial, rowsPerUnit]. A unit adds its rows up in f64 and leaves
 * them at partial[unit·width…] (f64); `sumPartials` brings the units together.
 */
export function rmsNormWeightGradient(p: usize, begin: i32, end: i32): void {
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
      const factor = <f64>rmsFactor(x, width, epsilon);
      for (let i = 0; i < width; i++) {
        const at = partial + ((<usize>i) << 3);
        store<f64>(
          at,
          load<f64>(at) + <f64>load<f32>(x + ((<usize>i) << 2)) * <f64>load<f32>(g + ((<usize>i) << 2)) * factor,
        );
      }
    }
  }
}

/** rope: [x, cosine, sine, positions, y, heads, size, half, inverse]. A unit is a token; y may be x. */
export function rope(p: usize, begin: i32, end: i32): void {
  const heads = load<i32>(p, 20),
    size = load<i32>(p, 24),
    half = load<i32>(p, 28);
  const inverse = load<i32>(p, 32);
  const halfBytes = (<usize>half) << 2,
    whole = halfBytes & ~15,
    sizeBytes = (<usize>size) << 2;
  const turn = inverse ? f32x4.splat(-1) : f32x4.splat(1);
  for (let token = begin; token < end; token++) {
    const table = <usize>load<i32>(load<usize>(p, 12) + ((<usize>token) << 2)) * halfBytes;
    const cosine = load<usize>(p, 4) + table,
      sine = load<usize>(p, 8) + table;
    let x = load<usize>(p) + <usize>token * <usize>heads * sizeBytes;
    let y = load<usize>(p, 16) + <usize>token * <usize>heads * sizeBytes;
    for (let head = 0; head < heads; head++) {
      let i: usize = 0;
      for (; i < whole; i += 16) {
        const c = v128.load(cosine + i),
          s = v128.mul<f32>(v128.load(sine + i), turn);
        const first = v128.load(x + i),
          second = v128.load(x + i + halfBytes);
        v128.store(y + i, v128.sub<f32>(v128.mul<f32>(first, c), v128.mul<f32>(second, s)));
        v128.store(y + i + halfBytes, v128.add<f32>(v128.mul<f32>(second, c), v128.mul<f32>(first, s)));
      }
      for (; i < halfBytes; i += 4) {
        const c = load<f32>(cosine + i),
          s = inverse ? -load<f32>(sine + i) : load<f32>(sine + i);
        const first = load<f32>(x + i),
          second = load<f32>(x + i + halfBytes);
        store<f32>(y + i, first * c - second * s);
        store<f32>(y + i + halfBytes, second * c + first * s);
      }
      const rest = halfBytes << 1;
      if (x != y && rest < sizeBytes) memory.copy(y + rest, x + rest, sizeBytes - rest);
      x += sizeBytes;
      y += sizeBytes;
    }
  }
}

/** swiglu: [gate, up, y, elements]. A unit is 1,024 elements. */
export function swiglu(p: usize, begin: i32, end: i32): void {
  const total = (<usize>load<i32>(p, 12)) << 2;
  const gate = load<usize>(p),
    up = load<usize>(p, 4),
    y = load<usize>(p, 8);
  let i = (<usize>begin) << 12;
  const last = min(total, (<usize>end) << 12);
  const whole = last & ~15;
  for (; i < whole; i += 16) {
    const x = v128.load(gate + i);
    v128.store(y + i, v128.mul<f32>(v128.mul<f32>(x, sigmoid4(x)), v128.load(up + i)));
  }
  for (; i < last; i += 4) {
    const x = load<f32>(gate + i);
    store<f32>(y + i, x * f32x4.extract_lane(sigmoid4(f32x4.splat(x)), 0) * load<f32>(up + i));
  }
}

/** swigluBackward: [gate, up, g, dGate, dUp, elements]. A unit is 1,024 elements; outputs may be inputs. */
export function swigluBackward(p: usize, begin: i32, end: i32): void {
  const total = (<usize>load<i32>(p, 20)) << 2;
  const gate = load<usize>(p),
    up = load<usize>(p, 4),
    g = load<usize>(p, 8),
    dGate = load<usize>(p, 12),
    dUp = load<usize>(p, 16);
  let i = (<usize>begin) << 12;
  const last = min(total, (<usize>end) << 12);
  const whole = last & ~15;
  const one = f32x4.splat(1);
  for (; i < whole; i += 16) {
    const x = v128.load(gate + i),
      upstream = v128.load(g + i),
      u = v128.load(up + i);
    const s = sigmoid4(x);
    const slope = v128.mul<f32>(s, v128.add<f32>(one, v128.mul<f32>(x, v128.sub<f32>(one, s))));
    v128.store(dGate + i, v128.mul<f32>(v128.mul<f32>(upstream, u), slope));
    v128.store(dUp + i, v128.mul<f32>(upstream, v128.mul<f32>(x, s)));
  }
  for (; i < last; i += 4) {
    const x = load<f32>(gate + i),
      upstream = load<f32>(g + i),
      u = load<f32>(up + i);
    const s = f32x4.extract_lane(sigmoid4(f32x4.splat(x)), 0);
    store<f32>(dGate + i, upstream * u * s * (1 + x * (1 - s)));
    store<f32>(dUp + i, upstream * x * s);
  }
}

/** The largest of `count` elements; NaN if one is. */
function maxOf(x: usize, count: i32): f32 {
  let top: f32 = -Infinity;
  if (count >= 4) {
    let top4 = v128.load(x);
    for (; count >= 4; count -= 4) {
      top4 = v128.max<f32>(top4, v128.load(x));
      x += 16;
    }
    top = max4(top4);
  }
  for (; count > 0; count--) {
    top = max(top, load<f32>(x));
    x += 4;
  }
  return top;
}

/** Writes e^(x − top) to y and returns the sum; in f64 by blocks of 1,024. */
function expSum(x: usize, y: usize, count: i32, top: f32): f64 {
  const top4 = f32x4.splat(top);
  let total: f64 = 0;
  while (count >= 4) {
    const block = min(count, 1024) & ~3;
    const end = x + ((<usize>block) << 2);
    let sum = f32x4.splat(0);
    while (x < end) {
      const e = exp4(v128.sub<f32>(v128.load(x), top4));
      v128.store(y, e);
      sum = v128.add<f32>(sum, e);
      x += 16;
      y += 16;
    }
    total += sum4(sum);
    count -= block;
  }
  for (; count > 0; count--) {
    const e = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(x) - top)), 0);
    store<f32>(y, e);
    total += e;
    x += 4;
    y += 4;
  }
  return total;
}

/** Σ e^(x − top), nothing written. */
function expSumOnly(x: usize, count: i32, top: f32): f64 {
  let total: f64 = 0;
  while (count > 0) {
    const block = min(count, 1024);
    total += expSum(x, scratch, block, top);
    x += (<usize>block) << 2;
    count -= block;
  }
  return total;
}

/** Natural logarithm in double precision, of a number of at least 1. */
function logOf(x: f64): f64 {
  const coarse = <f64>log1(<f32>x);
  // One Newton step on e^y = x, with e^coarse from a short series about the f32 rounding.
  const rounded = <f64>(<f32>x);
  return coarse + (x - rounded) / rounded;
}

/**
 * crossEntropyRows: [logits, labels, loss, gradient or 0, width, label smoothing, z-loss]. A unit is a row; the
 * gradient
 * may be the logits.
 */
export function crossEntropyRows(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 16);
  const gradients = load<usize>(p, 12);
  const bytes = (<usize>width) << 2;
  const smoothing = <f64>load<f32>(p, 20),
    zLoss = <f64>load<f32>(p, 24);
  for (let row = begin; row < end; row++) {
    const logits = load<usize>(p) + <usize>row * bytes;
    const label = load<i32>(load<usize>(p, 4) + ((<usize>row) << 2));
    const loss = load<usize>(p, 8) + ((<usize>row) << 2);
    const gradient = gradients + <usize>row * bytes;
    if (label < 0) {
      store<f32>(loss, 0);
      if (gradients != 0) memory.fill(gradient, 0, bytes);
      continue;
    }
    const own = label < width ? load<f32>(logits + ((<usize>label) << 2)) : NaN;
    const top = maxOf(logits, width);
    // Before the exponentials may be written over the logits.
    const mean = smoothing > 0 ? sumOf(logits, width) / <f64>width : 0;
    const total = gradients != 0 ? expSum(logits, gradient, width, top) : expSumOnly(logits, width, top);
    const normalizer = <f64>top + logOf(total);
    const target = (1 - smoothing) * <f64>own + smoothing * mean;
    store<f32>(loss, <f32>(normalizer - target + zLoss * normalizer * normalizer));
    if (gradients == 0) continue;
    const factor = <f32>((1 + 2 * zLoss * normalizer) / total);
    const factor4 = f32x4.splat(factor);
    const share = <f32>(smoothing / <f64>width);
    const share4 = f32x4.splat(share);
    const whole = bytes & ~15;
    let i: usize = 0;
    for (; i < whole; i += 16)
      v128.store(gradient + i, v128.sub<f32>(v128.mul<f32>(v128.load(gradient + i), factor4), share4));
    for (; i < bytes; i += 4) store<f32>(gradient + i, load<f32>(gradient + i) * factor - share);
    if (label < width) {
      const place = gradient + ((<usize>label) << 2);
      store<f32>(place, load<f32>(place) - <f32>(1 - smoothing));
    }
  }
}

/** argmax: [x, y, width]. A unit is a row. */
export function argmax(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 8);
  for (let row = begin; row < end; row++) {
    const x = load<usize>(p) + ((<usize>row * <usize>width) << 2);
    let best = 0;
    let top = load<f32>(x);
    for (let i = 1; i < width; i++) {
      const value = load<f32>(x + ((<usize>i) << 2));
      if (value > top) {
        top = value;
        best = i;
      }
    }
    store<i32>(load<usize>(p, 4) + ((<usize>row) << 2), best);
  }
}

/** sumRows: [x, y, length]. A unit is one row of `length` elements, summed. */
export function sumRows(p: usize, begin: i32, end: i32): void {
  const length = load<i32>(p, 8);
  for (let row = begin; row < end; row++) {
    store<f32>(
      load<usize>(p, 4) + ((<usize>row) << 2),
      <f32>sumOf(load<usize>(p) + ((<usize>row * <usize>length) << 2), length),
    );
  }
}

/** maxRows: [x, y, length]. A unit is one row. */
export function maxRows(p: usize, begin: i32, end: i32): void {
  const length = load<i32>(p, 8);
  for (let row = begin; row < end; row++) {
    store<f32>(
      load<usize>(p, 4) + ((<usize>row) << 2),
      maxOf(load<usize>(p) + ((<usize>row * <usize>length) << 2), length),
    );
  }
}

/** Σ x over `count` elements in f64. */
function sumOf(x: usize, count: i32): f64 {
  let a = f64x2.splat(0),
    b = f64x2.splat(0);
  for (; count >= 4; count -= 4) {
    a = v128.add<f64>(a, f64x2.promote_low_f32x4(v128.load64_zero(x)));
    b = v128.add<f64>(b, f64x2.promote_low_f32x4(v128.load64_zero(x, 8)));
    x += 16;
  }
  a = v128.add<f64>(a, b);
  let total = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
  for (; count > 0; count--) {
    total += <f64>load<f32>(x);
    x += 4;
  }
  return total;
}

/** Σ x² over `count` elements in f64. */
function squareOf(x: usize, count: i32): f64 {
  let a = f64x2.splat(0),
    b = f64x2.splat(0);
  for (; count >= 4; count -= 4) {
    const low = f64x2.promote_low_f32x4(v128.load64_zero(x)),
      high = f64x2.promote_low_f32x4(v128.load64_zero(x, 8));
    a = v128.add<f64>(a, v128.mul<f64>(low, low));
    b = v128.add<f64>(b, v128.mul<f64>(high, high));
    x += 16;
  }
  a = v128.add<f64>(a, b);
  let total = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1);
  for (; count > 0; count--) {
    const value = <f64>load<f32>(x);
    total += value * value;
    x += 4;
  }
  return total;
}

/**
 * partialSums: [x, partials, elements, perUnit, squares]. A unit leaves the f64 sum (of squares) of its piece; the
 * pieces never depend on the threads.
 */
export function partialSums(p: usize, begin: i32, end: i32): void {
  const elements = load<i32>(p, 8),
    perUnit = load<i32>(p, 12);
  for (let unit = begin; unit < end; unit++) {
    const start = unit * perUnit;
    const count = min(perUnit, elements - start);
    const x = load<usize>(p) + ((<usize>start) << 2);
    store<f64>(load<usize>(p, 4) + ((<usize>unit) << 3), load<i32>(p, 16) ? squareOf(x, count) : sumOf(x, count));
  }
}

/** sumPartials: [partials, y, count, width]. y[i] = Σ over `count` of partials[·, i] (f64). A unit is one i. */
export function sumPartials(p: usize, begin: i32, end: i32): void {
  const count = load<i32>(p, 8),
    width = load<i32>(p, 12);
  for (let i = begin; i < end; i++) {
    let total: f64 = 0;
    for (let j = 0; j < count; j++) total += load<f64>(load<usize>(p) + ((<usize>(j * width + i)) << 3));
    store<f32>(load<usize>(p, 4) + ((<usize>i) << 2), <f32>total);
  }
}

/**
 * reduceColumns: [x, y, length, inner, kind (0 sum, 1 max), blocks]. A unit is 64 columns of one outer index; sums in
 * f64.
 */
export function reduceColumns(p: usize, begin: i32, end: i32): void {
  const length = load<i32>(p, 8),
    inner = load<i32>(p, 12);
  const kind = load<i32>(p, 16),
    blocks = load<i32>(p, 20);
  for (let unit = begin; unit < end; unit++) {
    const outer = unit / blocks;
    const column = (unit - outer * blocks) << 6;
    const columns = min(64, inner - column);
    for (let i = 0; i < columns; i++) store<f64>(scratch + ((<usize>i) << 3), kind == 0 ? 0 : -Infinity);
    for (let l = 0; l < length; l++) {
      const x = load<usize>(p) + ((<usize>((outer * length + l) * inner + column)) << 2);
      for (let i = 0; i < columns; i++) {
        const value = <f64>load<f32>(x + ((<usize>i) << 2));
        const at = scratch + ((<usize>i) << 3);
        store<f64>(at, kind == 0 ? load<f64>(at) + value : max(load<f64>(at), value));
      }
    }
    const y = load<usize>(p, 4) + ((<usize>(outer * inner + column)) << 2);
    for (let i = 0; i < columns; i++) store<f32>(y + ((<usize>i) << 2), <f32>load<f64>(scratch + ((<usize>i) << 3)));
  }
}
