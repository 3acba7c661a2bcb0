/**
 * Kernels that move data, draw random numbers and update parameters. Parameter layouts are the word lists before each.
 */
import { load1, load4 } from './common';

/** gatherRows: [table, ids, y, width, encoding (3: i8), rows]. A unit is one id; a row that does not exist is NaN. */
export function gatherRows(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 12),
    encoding = load<i32>(p, 16),
    rows = load<u32>(p, 20);
  for (let at = begin; at < end; at++) {
    const id = load<i32>(load<usize>(p, 4) + ((<usize>at) << 2));
    const y = load<usize>(p, 8) + ((<usize>at * <usize>width) << 2);
    if (<u32>id >= rows) {
      for (let i = 0; i < width; i++) store<f32>(y + ((<usize>i) << 2), NaN);
    } else if (encoding == 0) memory.copy(y, load<usize>(p) + ((<usize>id * <usize>width) << 2), (<usize>width) << 2);
    else if (encoding == 1) decode<u16>(load<usize>(p) + ((<usize>id * <usize>width) << 1), y, width);
    else if (encoding == 2) decode<i16>(load<usize>(p) + ((<usize>id * <usize>width) << 1), y, width);
    else {
      const from = load<usize>(p) + <usize>id * <usize>width;
      for (let i = 0; i < width; i++) store<f32>(y + ((<usize>i) << 2), <f32>load<i8>(from + <usize>i));
    }
  }
}

function decode<T>(from: usize, to: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) v128.store(to + ((<usize>i) << 2), load4<T>(from, i));
  for (; i < count; i++) store<f32>(to + ((<usize>i) << 2), load1<T>(from, i));
}

/**
 * scatterAddRows: [g, ids, y, width, count, rows]. A unit is 16 columns, all rows: added in the order of the ids,
 * whatever the threads.
 */
export function scatterAddRows(p: usize, begin: i32, end: i32): void {
  const width = load<i32>(p, 12),
    count = load<i32>(p, 16),
    rows = load<i32>(p, 20);
  const start = begin << 4;
  const columns = min(width, end << 4) - start;
  const rowBytes = (<usize>width) << 2;
  const bytes = (<usize>columns) << 2;
  const whole = bytes & ~15;
  const y = load<usize>(p, 8) + ((<usize>start) << 2);
  for (let row = 0; row < rows; row++) memory.fill(y + <usize>row * rowBytes, 0, bytes);
  for (let at = 0; at < count; at++) {
    const id = load<u32>(load<usize>(p, 4) + ((<usize>at) << 2));
    if (id >= <u32>rows) continue;
    const to = y + <usize>id * rowBytes;
    const from = load<usize>(p) + ((<usize>start) << 2) + <usize>at * rowBytes;
    let i: usize = 0;
    for (; i < whole; i += 16) v128.store(to + i, v128.add<f32>(v128.load(to + i), v128.load(from + i)));
    for (; i < bytes; i += 4) store<f32>(to + i, load<f32>(to + i) + load<f32>(from + i));
  }
}

/**
 * writeAt: [cache, value, starts, capacity, length, row, halves]. A unit is one row of the batch, written over the
 * cache in place; a cache in f16 where halves is 1.
 */
export function writeAt(p: usize, begin: i32, end: i32): void {
  const capacity = load<i32>(p, 12),
    length = load<i32>(p, 16);
  const row = load<i32>(p, 20),
    halves = load<i32>(p, 24);
  for (let b = begin; b < end; b++) {
    const start = load<i32>(load<usize>(p, 8) + ((<usize>b) << 2));
    const first = max(0, -start);
    const last = min(length, capacity - start);
    if (last <= first) continue;
    const count = (last - first) * row;
    const from = load<usize>(p, 4) + ((<usize>((b * length + first) * row)) << 2);
    const to = <usize>((b * capacity + start + first) * row);
    if (halves == 0) memory.copy(load<usize>(p) + (to << 2), from, (<usize>count) << 2);
    else
      for (let i: usize = 0; i < <usize>count; i++)
        store<u16>(load<usize>(p) + ((to + i) << 1), <u16>toF16(load<f32>(from + (i << 2))));
  }
}

/** fill: [to, bytes, value (a byte)]. A unit is 64 KiB. */
export function fill(p: usize, begin: i32, end: i32): void {
  const bytes = load<usize>(p, 4);
  const start = (<usize>begin) << 16;
  const last = end > <i32>((bytes - 1) >> 16) ? bytes : (<usize>end) << 16;
  memory.fill(load<usize>(p) + start, <u8>load<i32>(p, 8), last - start);
}

/**
 * copyStrided: [from, to, rank, then size, from-stride, to-stride (elements of 4 bytes) per axis]. A unit is one line
 * along the last axis.
 */
export function copyStrided(p: usize, begin: i32, end: i32): void {
  const rank = load<i32>(p, 8);
  const inner = p + 12 + <usize>(rank - 1) * 12;
  const length = load<i32>(inner);
  const fromStride = (<usize>load<i32>(inner, 4)) << 2,
    toStride = (<usize>load<i32>(inner, 8)) << 2;
  for (let line = begin; line < end; line++) {
    let from = load<usize>(p),
      to = load<usize>(p, 4);
    let index = line;
    for (let axis = rank - 2; axis >= 0; axis--) {
      const at = p + 12 + <usize>axis * 12;
      const size = load<i32>(at);
      const quotient = index / size;
      const place = index - quotient * size;
      from += (<usize>(place * load<i32>(at, 4))) << 2;
      to += (<usize>(place * load<i32>(at, 8))) << 2;
      index = quotient;
    }
    if (fromStride == 4 && toStride == 4) {
      memory.copy(to, from, (<usize>length) << 2);
      continue;
    }
    for (let i = 0; i < length; i++) {
      store<u32>(to, load<u32>(from));
      from += fromStride;
      to += toStride;
    }
  }
}

/** f32 to bf16, to nearest even. */
function toBf16(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >> 16) | 0x40;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/** f32 to half precision, to nearest even, subnormals kept, overflow to infinity. */
function toF16(value: f32): u32 {
  const bits = reinterpret<u32>(value);
  const sign = (bits >> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x33000001) return sign;
  if (magnitude < 0x38800000) return sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - (magnitude >> 23));
  return sign | roundShift(magnitude - 0x38000000, 13);
}

function roundShift(value: u32, shift: u32): u32 {
  const kept = value >> shift;
  const rest = value & ((1 << shift) - 1);
  const half: u32 = 1 << (shift - 1);
  return rest > half || (rest == half && (kept & 1) == 1) ? kept + 1 : kept;
}

/** cast: [x, y, elements, from, to]; dtypes: 0 f32, 1 bf16, 2 f16, 3 i32, 4 u32. A unit is 1,024 elements. */
export function cast(p: usize, begin: i32, end: i32): void {
  const x = load<usize>(p),
    y = load<usize>(p, 4);
  const from = load<i32>(p, 12),
    to = load<i32>(p, 16);
  const last = min(load<i32>(p, 8), end << 10);
  for (let i = begin << 10; i < last; i++) {
    let value: f64;
    if (from == 0) value = <f64>load<f32>(x + ((<usize>i) << 2));
    else if (from == 1) value = <f64>load1<u16>(x, i);
    else if (from == 2) value = <f64>load1<i16>(x, i);
    else if (from == 3) value = <f64>load<i32>(x + ((<usize>i) << 2));
    else value = <f64>load<u32>(x + ((<usize>i) << 2));
    if (to == 0) store<f32>(y + ((<usize>i) << 2), <f32>value);
    else if (to == 1) store<u16>(y + ((<usize>i) << 1), <u16>toBf16(<f32>value));
    else if (to == 2) store<u16>(y + ((<usize>i) << 1), <u16>toF16(<f32>value));
    else
      store<i32>(
        y + ((<usize>i) << 2),
        <i32>(value == value ? <i64>max<f64>(min<f64>(value, 4294967295), -2147483648) : 0),
      );
  }
}

// @inline
function mix(x: v128, y: v128, turn: i32): v128 {
  return v128.xor(v128.or(v128.shl<i32>(y, turn), v128.shr<u32>(y, 32 - turn)), x);
}

/** random: [seed, step, y, elements, stream]: Threefry-2x32-20, four counters at once. A unit is 1,024 elements. */
export function random(p: usize, begin: i32, end: i32): void {
  const y = load<usize>(p, 8);
  const last = min(load<i32>(p, 12), end << 10);
  const k0 = load<i32>(load<usize>(p)),
    k1 = load<i32>(p, 16);
  const step = load<i32>(load<usize>(p, 4));
  const k2 = k0 ^ k1 ^ 0x1bd11bda;
  for (let i = begin << 10; i < last; i += 4) {
    let a = i32x4.splat(step + k0);
    let b = v128.add<i32>(v128.add<i32>(i32x4.splat(i), i32x4(0, 1, 2, 3)), i32x4.splat(k1));
    for (let block = 1; block <= 5; block++) {
      if (block & 1) {
        a = v128.add<i32>(a, b);
        b = mix(a, b, 13);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 15);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 26);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 6);
      } else {
        a = v128.add<i32>(a, b);
        b = mix(a, b, 17);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 29);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 16);
        a = v128.add<i32>(a, b);
        b = mix(a, b, 24);
      }
      const which = block % 3;
      a = v128.add<i32>(a, i32x4.splat(which == 0 ? k0 : which == 1 ? k1 : k2));
      b = v128.add<i32>(b, i32x4.splat((which == 0 ? k1 : which == 1 ? k2 : k0) + block));
    }
    const value = v128.mul<f32>(f32x4.convert_i32x4_u(v128.shr<u32>(a, 8)), f32x4.splat(5.9604644775390625e-8));
    if (i + 4 <= last) v128.store(y + ((<usize>i) << 2), value);
    else {
      store<f32>(y + ((<usize>i) << 2), f32x4.extract_lane(value, 0));
      if (i + 1 < last) store<f32>(y + ((<usize>i) << 2), f32x4.extract_lane(value, 1), 4);
      if (i + 2 < last) store<f32>(y + ((<usize>i) << 2), f32x4.extract_lane(value, 2), 8);
    }
  }
}

/**
 * adamw: [p, g, m, v, table, lr, stepSize, biasScale, clip, newP, newM, newV, elements, beta1, 1 − beta1, beta2, 1 −
 * beta2, epsilon]; the numbers lr to clip are addresses. A unit is one block of 64 elements.
 */
export function adamw(p: usize, begin: i32, end: i32): void {
  const clip = load<f32>(load<usize>(p, 32));
  const elements = load<i32>(p, 48);
  const oldP = load<usize>(p),
    g = load<usize>(p, 4),
    oldM = load<usize>(p, 8),
    oldV = load<usize>(p, 12);
  const newP = load<usize>(p, 36),
    newM = load<usize>(p, 40),
    newV = load<usize>(p, 44);
  if (!isFinite(clip)) {
    const start = (<usize>begin) << 8;
    const bytes = ((<usize>min(elements, end << 6)) << 2) - start;
    if (newP != oldP) memory.copy(newP + start, oldP + start, bytes);
    if (newM != oldM) memory.copy(newM + start, oldM + start, bytes);
    if (newV != oldV) memory.copy(newV + start, oldV + start, bytes);
    return;
  }
  const lr = load<f32>(load<usize>(p, 20)),
    stepSize = load<f32>(load<usize>(p, 24));
  const biasScale = f32x4.splat(load<f32>(load<usize>(p, 28)));
  const beta1 = f32x4.splat(load<f32>(p, 52)),
    rest1 = f32x4.splat(load<f32>(p, 56));
  const beta2 = f32x4.splat(load<f32>(p, 60)),
    rest2 = f32x4.splat(load<f32>(p, 64));
  const epsilon = f32x4.splat(load<f32>(p, 68));
  const clip4 = f32x4.splat(clip);
  for (let block = begin; block < end; block++) {
    const line = load<usize>(p, 16) + ((<usize>block) << 3);
    const keep = f32x4.splat(1 - lr * load<f32>(line) * load<f32>(line, 4));
    const rate = f32x4.splat(stepSize * load<f32>(line));
    let i = (<usize>block) << 8;
    const last = (<usize>min(elements, (block + 1) << 6)) << 2;
    for (; i < last; i += 16) {
      const partial = last - i < 16;
      const gradient = v128.mul<f32>(clip4, loadPart(g + i, last - i));
      const first = v128.add<f32>(v128.mul<f32>(beta1, loadPart(oldM + i, last - i)), v128.mul<f32>(rest1, gradient));
      const second = v128.add<f32>(
        v128.mul<f32>(beta2, loadPart(oldV + i, last - i)),
        v128.mul<f32>(v128.mul<f32>(rest2, gradient), gradient),
      );
      const divisor = v128.add<f32>(v128.mul<f32>(v128.sqrt<f32>(second), biasScale), epsilon);
      const value = v128.sub<f32>(
        v128.mul<f32>(loadPart(oldP + i, last - i), keep),
        v128.div<f32>(v128.mul<f32>(rate, first), divisor),
      );
      if (!partial) {
        v128.store(newM + i, first);
        v128.store(newV + i, second);
        v128.store(newP + i, value);
      } else {
        storePart(newM + i, first, last - i);
        storePart(newV + i, second, last - i);
        storePart(newP + i, value, last - i);
      }
    }
  }
}

// @inline
function loadPart(at: usize, bytes: usize): v128 {
  if (bytes >= 16) return v128.load(at);
  let x = v128.load32_zero(at);
  if (bytes > 4) x = v128.replace_lane<f32>(x, 1, load<f32>(at, 4));
  if (bytes > 8) x = v128.replace_lane<f32>(x, 2, load<f32>(at, 8));
  return x;
}

function storePart(at: usize, x: v128, bytes: usize): void {
  store<f32>(at, f32x4.extract_lane(x, 0));
  if (bytes > 4) store<f32>(at, f32x4.extract_lane(x, 1), 4);
  if (bytes > 8) store<f32>(at, f32x4.extract_lane(x, 2), 8);
}
