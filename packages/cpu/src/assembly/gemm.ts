/**
 * Matrix product on packed panels, f32 accumulators, after Goto's scheme: B is packed once into panels of 8 columns,
 * and each task multiplies a block of rows of A with a range of panels by a 6×8 register tile. What an operand is
 * stored as and which way it lies is the packing's business alone: a new encoding is one branch of `load4`/`load1`.
 *
 * A packed panel holds [K][8] f32; columns beyond N are zero.
 */
import { load1, load4, madd, transposeStore } from './common';

/** Depth of one block of K: a panel of 8 columns (16 KiB) and 6 rows of A (12 KiB) stay in the first-level cache. */
export const DEPTH: i32 = 512;

/** Packs panels [begin, end) of B as it lies when stored [K, N] (row-major, `ldb` elements). */
export function packRows<T>(b: usize, ldb: i32, k: i32, n: i32, out: usize, begin: i32, end: i32): void {
  const whole = min(end, n >> 3);
  const panelBytes = (<usize>k) << 5;
  for (let i = 0; i < k; i++) {
    let source = i * ldb + (begin << 3);
    let target = out + <usize>begin * panelBytes + ((<usize>i) << 5);
    for (let p = begin; p < whole; p++) {
      v128.store(target, load4<T>(b, source));
      v128.store(target, load4<T>(b, source + 4), 16);
      source += 8;
      target += panelBytes;
    }
  }
  for (let p = whole; p < end; p++) {
    const column = p << 3;
    let target = out + <usize>p * panelBytes;
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < 8; j++)
        store<f32>(target + ((<usize>j) << 2), column + j < n ? load1<T>(b, i * ldb + column + j) : 0);
      target += 32;
    }
  }
}

/** Packs panels [begin, end) of B as it lies when stored [N, K] (row-major, `ldb` elements). */
export function packColumns<T>(b: usize, ldb: i32, k: i32, n: i32, out: usize, begin: i32, end: i32): void {
  const panelBytes = (<usize>k) << 5;
  for (let p = begin; p < end; p++) {
    const column = p << 3;
    let target = out + <usize>p * panelBytes;
    let i = 0;
    if (column + 8 <= n) {
      for (; i + 4 <= k; i += 4) {
        let s = column * ldb + i;
        transposeStore(
          load4<T>(b, s),
          load4<T>(b, s + ldb),
          load4<T>(b, s + 2 * ldb),
          load4<T>(b, s + 3 * ldb),
          target,
          32,
        );
        s += 4 * ldb;
        transposeStore(
          load4<T>(b, s),
          load4<T>(b, s + ldb),
          load4<T>(b, s + 2 * ldb),
          load4<T>(b, s + 3 * ldb),
          target + 16,
          32,
        );
        target += 128;
      }
    }
    for (; i < k; i++) {
      for (let j = 0; j < 8; j++)
        store<f32>(target + ((<usize>j) << 2), column + j < n ? load1<T>(b, (column + j) * ldb + i) : 0);
      target += 32;
    }
  }
}

/** Writes rows [row, row + rows) × [depth, depth + k) of A as stored [K, M] into `out` as [rows][k]. */
export function packTransposed<T>(a: usize, lda: i32, row: i32, rows: i32, depth: i32, k: i32, out: usize): void {
  const stride = (<usize>k) << 2;
  let i = 0;
  for (; i + 4 <= k; i += 4) {
    const s = (depth + i) * lda + row;
    let target = out + ((<usize>i) << 2);
    let r = 0;
    for (; r + 4 <= rows; r += 4) {
      transposeStore(
        load4<T>(a, s + r),
        load4<T>(a, s + lda + r),
        load4<T>(a, s + 2 * lda + r),
        load4<T>(a, s + 3 * lda + r),
        target,
        stride,
      );
      target += stride << 2;
    }
    for (; r < rows; r++) {
      for (let j = 0; j < 4; j++) store<f32>(target + ((<usize>j) << 2), load1<T>(a, s + j * lda + r));
      target += stride;
    }
  }
  for (; i < k; i++) {
    for (let r = 0; r < rows; r++)
      store<f32>(out + ((<usize>i) << 2) + <usize>r * stride, load1<T>(a, (depth + i) * lda + row + r));
  }
}

/** Writes rows [row, row + rows) × [depth, depth + k) of A as stored [M, K] into `out` as [rows][k] f32. */
export function packDirect<T>(a: usize, lda: i32, row: i32, rows: i32, depth: i32, k: i32, out: usize): void {
  for (let r = 0; r < rows; r++) {
    const s = (row + r) * lda + depth;
    let i = 0;
    for (; i + 4 <= k; i += 4) {
      v128.store(out, load4<T>(a, s + i));
      out += 16;
    }
    for (; i < k; i++) {
      store<f32>(out, load1<T>(a, s + i));
      out += 4;
    }
  }
}

/**
 * C[6,8] = init + A[6,k]·panel: A's rows at a, a + aStride, … (contiguous in k), init at `init` (0: zeros) with
 * `initStride` bytes between rows. One step of k per iteration: the optimizer would reorder an unrolled body into
 * something that does not fit the 16 registers.
 */
function tile6(
  a: usize,
  aStride: usize,
  b: usize,
  k: i32,
  init: usize,
  initStride: usize,
  c: usize,
  cStride: usize,
): void {
  let a0 = a,
    a1 = a0 + aStride,
    a2 = a1 + aStride,
    a3 = a2 + aStride,
    a4 = a3 + aStride,
    a5 = a4 + aStride;
  let c00 = f32x4.splat(0),
    c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0),
    c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0),
    c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0),
    c31 = f32x4.splat(0);
  let c40 = f32x4.splat(0),
    c41 = f32x4.splat(0);
  let c50 = f32x4.splat(0),
    c51 = f32x4.splat(0);
  if (init != 0) {
    c00 = v128.load(init);
    c01 = v128.load(init, 16);
    init += initStride;
    c10 = v128.load(init);
    c11 = v128.load(init, 16);
    init += initStride;
    c20 = v128.load(init);
    c21 = v128.load(init, 16);
    init += initStride;
    c30 = v128.load(init);
    c31 = v128.load(init, 16);
    init += initStride;
    c40 = v128.load(init);
    c41 = v128.load(init, 16);
    init += initStride;
    c50 = v128.load(init);
    c51 = v128.load(init, 16);
  }
  const end = b + ((<usize>k) << 5);
  while (b < end) {
    const b0 = v128.load(b),
      b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a0);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load_splat<f32>(a1);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load_splat<f32>(a2);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load_splat<f32>(a3);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    x = v128.load_splat<f32>(a4);
    c40 = madd(x, b0, c40);
    c41 = madd(x, b1, c41);
    x = v128.load_splat<f32>(a5);
    c50 = madd(x, b0, c50);
    c51 = madd(x, b1, c51);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
    a5 += 4;
    b += 32;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cStride;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cStride;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cStride;
  v128.store(c, c30);
  v128.store(c, c31, 16);
  c += cStride;
  v128.store(c, c40);
  v128.store(c, c41, 16);
  c += cStride;
  v128.store(c, c50);
  v128.store(c, c51, 16);
}

/** The same for four rows at any addresses: the lower edge repeats its last row. */
function tile4(
  a0: usize,
  a1: usize,
  a2: usize,
  a3: usize,
  b: usize,
  k: i32,
  init: usize,
  initStride: usize,
  c: usize,
  cStride: usize,
): void {
  let c00 = f32x4.splat(0),
    c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0),
    c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0),
    c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0),
    c31 = f32x4.splat(0);
  if (init != 0) {
    c00 = v128.load(init);
    c01 = v128.load(init, 16);
    init += initStride;
    c10 = v128.load(init);
    c11 = v128.load(init, 16);
    init += initStride;
    c20 = v128.load(init);
    c21 = v128.load(init, 16);
    init += initStride;
    c30 = v128.load(init);
    c31 = v128.load(init, 16);
  }
  const end = b + ((<usize>k) << 5);
  while (b < end) {
    const b0 = v128.load(b),
      b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a0);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load_splat<f32>(a1);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load_splat<f32>(a2);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load_splat<f32>(a3);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    b += 32;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  c += cStride;
  v128.store(c, c10);
  v128.store(c, c11, 16);
  c += cStride;
  v128.store(c, c20);
  v128.store(c, c21, 16);
  c += cStride;
  v128.store(c, c30);
  v128.store(c, c31, 16);
}

/** Copies a rows×columns corner of a tile, element by element. */
function copyTile(from: usize, fromStride: usize, to: usize, toStride: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < columns; j++) store<f32>(to + ((<usize>j) << 2), load<f32>(from + ((<usize>j) << 2)));
    from += fromStride;
    to += toStride;
  }
}

/** A tile at the right or lower edge: whole in the 128 bytes at `edge`, the valid corner copied. */
function edgeTile(
  a: usize,
  aStride: usize,
  rows: i32,
  b: usize,
  k: i32,
  init: usize,
  initStride: usize,
  c: usize,
  cStride: usize,
  columns: i32,
  edge: usize,
): void {
  const last = a + <usize>(rows - 1) * aStride;
  if (init != 0) copyTile(init, initStride, edge, 32, rows, columns);
  tile4(
    a,
    min(a + aStride, last),
    min(a + 2 * aStride, last),
    min(a + 3 * aStride, last),
    b,
    k,
    init != 0 ? edge : 0,
    32,
    edge,
    32,
  );
  copyTile(edge, 32, c, cStride, rows, columns);
}

/**
 * C = init + A·B for `rows` rows and `columns` columns: A [rows][k] with contiguous k and `aStride` bytes between rows;
 * `panels` the first panel, `panelStride` bytes between panels; strides of C and init in bytes, init = 0 for zeros;
 * `edge` 128 bytes of scratch.
 */
export function gemmBlock(
  a: usize,
  aStride: usize,
  panels: usize,
  panelStride: usize,
  k: i32,
  init: usize,
  initStride: usize,
  c: usize,
  cStride: usize,
  rows: i32,
  columns: i32,
  edge: usize,
): void {
  for (let column = 0; column < columns; column += 8) {
    const width = min(8, columns - column);
    let ai = a;
    let ci = c + ((<usize>column) << 2);
    let ii = init != 0 ? init + ((<usize>column) << 2) : 0;
    let r = 0;
    if (width == 8) {
      for (; r + 6 <= rows; r += 6) {
        tile6(ai, aStride, panels, k, ii, initStride, ci, cStride);
        ai += 6 * aStride;
        ci += 6 * cStride;
        if (init != 0) ii += 6 * initStride;
      }
      for (; r + 4 <= rows; r += 4) {
        tile4(ai, ai + aStride, ai + 2 * aStride, ai + 3 * aStride, panels, k, ii, initStride, ci, cStride);
        ai += aStride << 2;
        ci += cStride << 2;
        if (init != 0) ii += initStride << 2;
      }
    }
    for (; r < rows; r += 4) {
      edgeTile(ai, aStride, min(4, rows - r), panels, k, ii, initStride, ci, cStride, width, edge);
      ai += aStride << 2;
      ci += cStride << 2;
      if (init != 0) ii += initStride << 2;
    }
    panels += panelStride;
  }
}
