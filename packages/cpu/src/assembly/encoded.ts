/**
 * Matrices stored as codes (`OperandEncoding` of @lowrank/tensor), decoded a run at a time into f32 that stays in the
 * first-level cache.
 *
 * A matrix is known by the address of its description: [0 kind (0 block4, 1 rows8, 2 block8), 1 codes, 2 end of the
 * codes, 3 absmax, 4 nested (or 0), 5 blockSize, 6 nestedBlockSize, 7 columns, 8 minimums (or 0), 9..24 table as f32,
 * 25..40 the same 64 bytes as four planes: byte 0 of every value, byte 1, …], as `../kernels/encoded.ts` writes it.
 */
import { load1, madd, scratch, sum4 } from './common';
import { packColumns } from './gemm';

const TABLE: usize = 36;
const PLANES: usize = 100;
/** Entries of a nested operand before the codes' own absmax. */
const NESTED_HEAD: i32 = 257;
/** Most elements a caller decodes at once, and room for the lanes that a run writes past its end. */
export const RUN: i32 = 512;
const SLACK: i32 = 16;

/** absmax of a block: as it is, or map[q]·scale + offset in two roundings. */
function absmaxOf(e: usize, block: i32): f32 {
  const absmax = load<usize>(e, 12),
    nested = load<usize>(e, 16);
  if (nested == 0) return load<f32>(absmax + ((<usize>block) << 2));
  const code = <usize>load<u8>(absmax + <usize>block);
  const scale = load<f32>(nested + ((<usize>(NESTED_HEAD + block / load<i32>(e, 24))) << 2));
  return load<f32>(nested + (code << 2)) * scale + load<f32>(nested, 1024);
}

/** Eight bytes of codes, of which those beyond `end` are zero: memory may stop there. */
function load8(at: usize, end: usize): v128 {
  if (at + 8 <= end) return v128.load64_zero(at);
  let bytes: u64 = 0;
  for (let i = 0; at < end; at++, i += 8) bytes |= (<u64>load<u8>(at)) << i;
  return i64x2(bytes, 0);
}

/** Indices are below 16: both forms mean the same. */
// @inline
function pick(plane: v128, index: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(plane, index);
  return i8x16.swizzle(plane, index);
}

/**
 * Elements [start, start + count), row by row, as f32 at `out`, where up to SLACK − 1 elements beyond the run are
 * overwritten.
 */
export function decodeRun(e: usize, start: i32, count: i32, out: usize): void {
  const kind = load<i32>(e);
  if (kind == 1) decodeRows8(e, start, count, out);
  else if (kind == 2) decodeBlock8(e, start, count, out);
  else if (load<usize>(e, 32) == 0) decodeBlock4(e, start, count, out, false);
  else decodeBlock4(e, start, count, out, true);
}

/** The smallest value of a block, where the encoding has one. */
// @inline
function minimumOf(e: usize, block: i32): f32 {
  return load<f32>(load<usize>(e, 32) + ((<usize>block) << 2));
}

/** `decodeRun` for codes of 4 bits; `minimums` is a constant of each copy. */
// @inline
function decodeBlock4(e: usize, start: i32, count: i32, out: usize, minimums: bool): void {
  const codes = load<usize>(e, 4),
    end = load<usize>(e, 8),
    blockSize = load<i32>(e, 20);
  const plane0 = v128.load(e + PLANES),
    plane1 = v128.load(e + PLANES, 16),
    plane2 = v128.load(e + PLANES, 32),
    plane3 = v128.load(e + PLANES, 48);
  const nibble = i8x16.splat(15);
  let block = start / blockSize;
  let left = (block + 1) * blockSize - start;
  let at = codes + <usize>(start >> 1);
  let odd = start & 1;
  while (count > 0) {
    const scale = absmaxOf(e, block);
    const minimum: f32 = minimums ? minimumOf(e, block) : 0;
    let run = min(left, count);
    count -= run;
    if (odd) {
      const value = load<f32>(e + TABLE + ((<usize>(load<u8>(at) & 15)) << 2)) * scale;
      store<f32>(out, minimums ? value + minimum : value);
      out += 4;
      at++;
      run--;
      odd = 0;
    }
    const scales = f32x4.splat(scale);
    const least = f32x4.splat(minimum);
    // A block starts at an even element, so that a run within one starts at a byte; what it writes too much, the next
    // one overwrites.
    let to = out,
      from = at;
    for (let i = 0; i < run; i += 16) {
      const bytes = load8(from, end);
      const high = v128.and(v128.shr<u16>(bytes, 4), nibble),
        low = v128.and(bytes, nibble);
      const index = v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b0 = pick(plane0, index),
        b1 = pick(plane1, index),
        b2 = pick(plane2, index),
        b3 = pick(plane3, index);
      const a = v128.shuffle<u8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b = v128.shuffle<u8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const c = v128.shuffle<u8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const d = v128.shuffle<u8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      v128.store(to, scaled(v128.shuffle<u16>(a, c, 0, 8, 1, 9, 2, 10, 3, 11), scales, least, minimums));
      v128.store(to, scaled(v128.shuffle<u16>(a, c, 4, 12, 5, 13, 6, 14, 7, 15), scales, least, minimums), 16);
      v128.store(to, scaled(v128.shuffle<u16>(b, d, 0, 8, 1, 9, 2, 10, 3, 11), scales, least, minimums), 32);
      v128.store(to, scaled(v128.shuffle<u16>(b, d, 4, 12, 5, 13, 6, 14, 7, 15), scales, least, minimums), 48);
      to += 64;
      from += 8;
    }
    out += (<usize>run) << 2;
    at += <usize>(run >> 1);
    block++;
    left = blockSize;
  }
}

// @inline
function scaled(values: v128, scales: v128, least: v128, minimums: bool): v128 {
  const products = v128.mul<f32>(values, scales);
  return minimums ? v128.add<f32>(products, least) : products;
}

/**
 * Σ x[i]·b[start + i] over a row of codes: sums over the codes' values, scaled once per block. Only where `canDot`:
 * elsewhere the run is decoded first.
 */
export function dotCodes(e: usize, start: i32, count: i32, x: usize): f32 {
  const kind = load<i32>(e);
  if (kind == 1) return dotRows8(e, start, count, x);
  if (kind == 2) return dotBlock8(e, start, count, x);
  return load<usize>(e, 32) == 0 ? dotBlock4(e, start, count, x, false) : dotBlock4(e, start, count, x, true);
}

/** `dotCodes` for codes of 4 bits: Σ x·(v·s + m) = s·Σ x·v + m·Σ x in each block. */
// @inline
function dotBlock4(e: usize, start: i32, count: i32, x: usize, minimums: bool): f32 {
  const codes = load<usize>(e, 4),
    blockSize = load<i32>(e, 20);
  const plane0 = v128.load(e + PLANES),
    plane1 = v128.load(e + PLANES, 16),
    plane2 = v128.load(e + PLANES, 32),
    plane3 = v128.load(e + PLANES, 48);
  const nibble = i8x16.splat(15);
  let block = start / blockSize;
  let left = (block + 1) * blockSize - start;
  let at = codes + <usize>(start >> 1);
  let total = f32x4.splat(0);
  while (count > 0) {
    const run = min(left, count);
    const end = at + <usize>(run >> 1);
    let s0 = f32x4.splat(0),
      s1 = f32x4.splat(0),
      s2 = f32x4.splat(0),
      s3 = f32x4.splat(0),
      t0 = f32x4.splat(0),
      t1 = f32x4.splat(0);
    while (at < end) {
      const bytes = v128.load64_zero(at);
      const high = v128.and(v128.shr<u16>(bytes, 4), nibble),
        low = v128.and(bytes, nibble);
      const index = v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b0 = pick(plane0, index),
        b1 = pick(plane1, index),
        b2 = pick(plane2, index),
        b3 = pick(plane3, index);
      const a = v128.shuffle<u8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const b = v128.shuffle<u8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const c = v128.shuffle<u8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const d = v128.shuffle<u8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      s0 = madd(v128.load(x), v128.shuffle<u16>(a, c, 0, 8, 1, 9, 2, 10, 3, 11), s0);
      s1 = madd(v128.load(x, 16), v128.shuffle<u16>(a, c, 4, 12, 5, 13, 6, 14, 7, 15), s1);
      s2 = madd(v128.load(x, 32), v128.shuffle<u16>(b, d, 0, 8, 1, 9, 2, 10, 3, 11), s2);
      s3 = madd(v128.load(x, 48), v128.shuffle<u16>(b, d, 4, 12, 5, 13, 6, 14, 7, 15), s3);
      if (minimums) {
        t0 = v128.add<f32>(t0, v128.add<f32>(v128.load(x), v128.load(x, 16)));
        t1 = v128.add<f32>(t1, v128.add<f32>(v128.load(x, 32), v128.load(x, 48)));
      }
      x += 64;
      at += 8;
    }
    const sum = v128.add<f32>(v128.add<f32>(s0, s1), v128.add<f32>(s2, s3));
    total = madd(sum, f32x4.splat(absmaxOf(e, block)), total);
    if (minimums) total = madd(v128.add<f32>(t0, t1), f32x4.splat(minimumOf(e, block)), total);
    count -= run;
    block++;
    left = blockSize;
  }
  return sum4(total);
}

/** Rows of 4-bit codes must begin and end at multiples of 16 elements. */
export function canDot(e: usize): bool {
  return load<i32>(e) != 0 || (load<i32>(e, 28) & 15) == 0;
}

function dotRows8(e: usize, start: i32, count: i32, x: usize): f32 {
  const codes = load<usize>(e, 4) + <usize>start;
  let s0 = f32x4.splat(0),
    s1 = f32x4.splat(0);
  let i = 0;
  for (; i + 8 <= count; i += 8) {
    const half = v128.load_ext<i8>(codes + <usize>i);
    const at = x + ((<usize>i) << 2);
    s0 = madd(v128.load(at), f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(half)), s0);
    s1 = madd(v128.load(at, 16), f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(half)), s1);
  }
  let total = sum4(v128.add<f32>(s0, s1));
  for (; i < count; i++) total += load<f32>(x + ((<usize>i) << 2)) * <f32>load<i8>(codes + <usize>i);
  return total * load<f32>(load<usize>(e, 12) + ((<usize>(start / load<i32>(e, 28))) << 2)) * <f32>(1.0 / 127.0);
}

/** `dotCodes` for blocks of 8-bit codes; a row is whole blocks. */
function dotBlock8(e: usize, start: i32, count: i32, x: usize): f32 {
  const blockSize = load<i32>(e, 20),
    minimums = load<usize>(e, 32);
  let codes = load<usize>(e, 4) + <usize>start;
  let total = f32x4.splat(0);
  const last = (start + count) / blockSize;
  for (let block = start / blockSize; block < last; block++) {
    let s0 = f32x4.splat(0),
      s1 = f32x4.splat(0),
      t0 = f32x4.splat(0);
    for (let i = 0; i < blockSize; i += 8) {
      const half = v128.load_ext<i8>(codes);
      const x0 = v128.load(x),
        x1 = v128.load(x, 16);
      s0 = madd(x0, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(half)), s0);
      s1 = madd(x1, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(half)), s1);
      if (minimums != 0) t0 = v128.add<f32>(t0, v128.add<f32>(x0, x1));
      codes += 8;
      x += 32;
    }
    const scale = load<f32>(load<usize>(e, 12) + ((<usize>block) << 2));
    total = madd(v128.add<f32>(s0, s1), f32x4.splat(scale), total);
    if (minimums != 0) total = madd(t0, f32x4.splat(minimumOf(e, block)), total);
  }
  return sum4(total);
}

/** `decodeRun` for blocks of 8-bit codes: code·scale (+ minimum). */
function decodeBlock8(e: usize, start: i32, count: i32, out: usize): void {
  const blockSize = load<i32>(e, 20),
    minimums = load<usize>(e, 32);
  let codes = load<usize>(e, 4) + <usize>start;
  let block = start / blockSize;
  let left = (block + 1) * blockSize - start;
  while (count > 0) {
    const scale = load<f32>(load<usize>(e, 12) + ((<usize>block) << 2));
    const minimum: f32 = minimums != 0 ? minimumOf(e, block) : 0;
    const scales = f32x4.splat(scale),
      least = f32x4.splat(minimum);
    const run = min(left, count);
    let i = 0;
    for (; i + 8 <= run; i += 8) {
      const half = v128.load_ext<i8>(codes + <usize>i);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(half)),
        high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(half));
      v128.store(out + ((<usize>i) << 2), scaled(low, scales, least, minimums != 0));
      v128.store(out + ((<usize>i) << 2), scaled(high, scales, least, minimums != 0), 16);
    }
    for (; i < run; i++) {
      const value = <f32>load<i8>(codes + <usize>i) * scale;
      store<f32>(out + ((<usize>i) << 2), minimums != 0 ? value + minimum : value);
    }
    out += (<usize>run) << 2;
    codes += <usize>run;
    count -= run;
    block++;
    left = blockSize;
  }
}

/** `decodeRun` for codes of 8 bits with an absmax per row: code·absmax·(1/127). */
function decodeRows8(e: usize, start: i32, count: i32, out: usize): void {
  const codes = load<usize>(e, 4),
    columns = load<i32>(e, 28);
  const step = f32x4.splat(<f32>(1.0 / 127.0));
  let row = start / columns;
  let left = (row + 1) * columns - start;
  while (count > 0) {
    const scale = load<f32>(load<usize>(e, 12) + ((<usize>row) << 2));
    const scales = f32x4.splat(scale);
    const run = min(left, count);
    let i = 0;
    for (; i + 8 <= run; i += 8) {
      const half = v128.load_ext<i8>(codes + <usize>(start + i));
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(half)),
        high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(half));
      v128.store(out + ((<usize>i) << 2), v128.mul<f32>(v128.mul<f32>(low, scales), step));
      v128.store(out + ((<usize>i) << 2), v128.mul<f32>(v128.mul<f32>(high, scales), step), 16);
    }
    for (; i < run; i++)
      store<f32>(out + ((<usize>i) << 2), <f32>load<i8>(codes + <usize>(start + i)) * scale * <f32>(1.0 / 127.0));
    out += (<usize>run) << 2;
    start += run;
    count -= run;
    row++;
    left = columns;
  }
}

/**
 * Panels [begin, end) of an encoded B stored [N, K] (mode bit 0) or [K, N], `ldb` elements a row, whose first element
 * here is `first`.
 */
export function packEncoded(
  e: usize,
  first: i32,
  transposed: i32,
  ldb: i32,
  k: i32,
  n: i32,
  out: usize,
  begin: i32,
  end: i32,
): void {
  const panelBytes = (<usize>k) << 5;
  if (transposed) {
    const stride = RUN + SLACK;
    for (let p = begin; p < end; p++) {
      const column = p << 3;
      const rows = min(8, n - column);
      for (let depth = 0; depth < k; depth += RUN) {
        const count = min(RUN, k - depth);
        for (let j = 0; j < rows; j++)
          decodeRun(e, first + (column + j) * ldb + depth, count, scratch + ((<usize>(j * stride)) << 2));
        packColumns<f32>(scratch, stride, count, rows, out + <usize>p * panelBytes + ((<usize>depth) << 5), 0, 1);
      }
    }
    return;
  }
  const most = RUN >> 3;
  for (let from = begin; from < end; from += most) {
    const to = min(end, from + most);
    const count = min(n, to << 3) - (from << 3);
    for (let i = 0; i < k; i++) {
      decodeRun(e, first + i * ldb + (from << 3), count, scratch);
      for (let j = count; j < (to - from) << 3; j++) store<f32>(scratch + ((<usize>j) << 2), 0);
      let source = scratch;
      let target = out + <usize>from * panelBytes + ((<usize>i) << 5);
      for (let p = from; p < to; p++) {
        v128.store(target, v128.load(source));
        v128.store(target, v128.load(source, 16), 16);
        source += 32;
        target += panelBytes;
      }
    }
  }
}

/** decodeMatrix: [description, y, elements]. A unit is RUN elements. */
export function decodeMatrix(p: usize, begin: i32, end: i32): void {
  const size = load<i32>(p, 8);
  for (let unit = begin; unit < end; unit++) {
    const start = unit * RUN;
    const count = min(RUN, size - start);
    decodeRun(load<usize>(p), start, count, scratch);
    memory.copy(load<usize>(p, 4) + ((<usize>start) << 2), scratch, (<usize>count) << 2);
  }
}
