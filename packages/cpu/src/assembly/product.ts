/**
 * Products with a weight that is packed where it is multiplied: each task packs a few panels of B at a time into its
 * own scratch memory, which stays in the second-level cache, and multiplies its rows of A with them. Nothing of B is
 * written to memory, and no launch waits for a packing. Parameter layouts: `../kernels/matmul.ts`.
 */
import { madd, scratch } from './common';
import { packEncoded } from './encoded';
import { gemmBlock, packColumns, packRows } from './gemm';

/** Where a task's own panels begin: in front lie what decoding codes takes, and an edge tile. */
const EDGE: usize = 24576;
const PANELS: usize = EDGE + 128;

/** Packs rows [depth, depth + k) of `columns` columns of B from `column` on. */
function packBlock(b: usize, ldb: i32, mode: i32, column: i32, columns: i32, depth: i32, k: i32, out: usize): void {
  const panels = (columns + 7) >> 3;
  const encoding = mode >> 1;
  const first = mode & 1 ? column * ldb + depth : depth * ldb + column;
  if (encoding == 3) {
    packEncoded(b, first, mode & 1, ldb, k, columns, out, 0, panels);
    return;
  }
  const from = b + ((<usize>first) << (encoding == 0 ? 2 : 1));
  if (mode & 1) {
    if (encoding == 0) packColumns<f32>(from, ldb, k, columns, out, 0, panels);
    else if (encoding == 1) packColumns<u16>(from, ldb, k, columns, out, 0, panels);
    else packColumns<i16>(from, ldb, k, columns, out, 0, panels);
  } else {
    if (encoding == 0) packRows<f32>(from, ldb, k, columns, out, 0, panels);
    else if (encoding == 1) packRows<u16>(from, ldb, k, columns, out, 0, panels);
    else packRows<i16>(from, ldb, k, columns, out, 0, panels);
  }
}

/**
 * product: [0 m, 1 n, 2 k, 3 a, 4 lda, 5 b, 6 ldb, 7 bMode, 8 c, 9 ldc, 10 init, 11 initStride, 12 h, 13 r, 14 u, 15
 * ldu, 16 uMode, 17 rowsPerTask, 18 columnsPerTask, 19 rowBlocks, 20 depth]: C = init + A·B + H·U. Rows of A and H are
 * contiguous. bMode and uMode: bit 0 = stored [N, K]; bits 1.. = encoding (3: b is a description of codes). A unit is a
 * block of rows times a block of columns; columnsPerTask is a multiple of 8, and `depth` so many steps of K at a time
 * that columnsPerTask · depth f32 fit the scratch memory.
 */
export function product(p: usize, begin: i32, end: i32): void {
  const m = load<i32>(p),
    n = load<i32>(p, 4),
    k = load<i32>(p, 8);
  const a = load<usize>(p, 12),
    aStride = (<usize>load<i32>(p, 16)) << 2;
  const cStride = (<usize>load<i32>(p, 36)) << 2;
  const init = load<usize>(p, 40),
    initStride = load<usize>(p, 44) << 2;
  const h = load<usize>(p, 48),
    rank = load<i32>(p, 52);
  const rowsPerTask = load<i32>(p, 68),
    columnsPerTask = load<i32>(p, 72);
  const rowBlocks = load<i32>(p, 76),
    most = load<i32>(p, 80);
  const edge = scratch + EDGE,
    panels = scratch + PANELS;
  for (let unit = begin; unit < end; unit++) {
    const columnBlock = unit / rowBlocks;
    const row = (unit - columnBlock * rowBlocks) * rowsPerTask;
    const column = columnBlock * columnsPerTask;
    const rows = min(rowsPerTask, m - row);
    const columns = min(columnsPerTask, n - column);
    const c = load<usize>(p, 32) + <usize>row * cStride + ((<usize>column) << 2);
    let start = init != 0 ? init + <usize>row * initStride + ((<usize>column) << 2) : 0;
    let startStride = initStride;
    for (let depth = 0; depth < k; depth += most) {
      const kb = min(most, k - depth);
      packBlock(load<usize>(p, 20), load<i32>(p, 24), load<i32>(p, 28), column, columns, depth, kb, panels);
      const from = a + <usize>row * aStride + ((<usize>depth) << 2);
      gemmBlock(from, aStride, panels, (<usize>kb) << 5, kb, start, startStride, c, cStride, rows, columns, edge);
      start = c;
      startStride = cStride;
    }
    if (h == 0) continue;
    const hStride = (<usize>rank) << 2;
    packBlock(load<usize>(p, 56), load<i32>(p, 60), load<i32>(p, 64), column, columns, 0, rank, panels);
    gemmBlock(
      h + <usize>row * hStride,
      hStride,
      panels,
      (<usize>rank) << 5,
      rank,
      start,
      startStride,
      c,
      cStride,
      rows,
      columns,
      edge,
    );
  }
}

/**
 * C[4,8] = init + Aᵀ·B, both stored by steps of k: `a` the first of 4 rows of Aᵀ, `b` the first of 8 columns; init is C
 * itself or zeros.
 */
// @inline
function thinTile(
  a: usize,
  aStride: usize,
  b: usize,
  bStride: usize,
  k: i32,
  c: usize,
  cStride: usize,
  goesOn: bool,
): void {
  let c00 = f32x4.splat(0),
    c01 = f32x4.splat(0);
  let c10 = f32x4.splat(0),
    c11 = f32x4.splat(0);
  let c20 = f32x4.splat(0),
    c21 = f32x4.splat(0);
  let c30 = f32x4.splat(0),
    c31 = f32x4.splat(0);
  const c1 = c + cStride,
    c2 = c1 + cStride,
    c3 = c2 + cStride;
  if (goesOn) {
    c00 = v128.load(c);
    c01 = v128.load(c, 16);
    c10 = v128.load(c1);
    c11 = v128.load(c1, 16);
    c20 = v128.load(c2);
    c21 = v128.load(c2, 16);
    c30 = v128.load(c3);
    c31 = v128.load(c3, 16);
  }
  const end = b + <usize>k * bStride;
  while (b < end) {
    const b0 = v128.load(b),
      b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = madd(x, b0, c00);
    c01 = madd(x, b1, c01);
    x = v128.load_splat<f32>(a, 4);
    c10 = madd(x, b0, c10);
    c11 = madd(x, b1, c11);
    x = v128.load_splat<f32>(a, 8);
    c20 = madd(x, b0, c20);
    c21 = madd(x, b1, c21);
    x = v128.load_splat<f32>(a, 12);
    c30 = madd(x, b0, c30);
    c31 = madd(x, b1, c31);
    a += aStride;
    b += bStride;
  }
  v128.store(c, c00);
  v128.store(c, c01, 16);
  v128.store(c1, c10);
  v128.store(c1, c11, 16);
  v128.store(c2, c20);
  v128.store(c2, c21, 16);
  v128.store(c3, c30);
  v128.store(c3, c31, 16);
}

/** Steps of k at a time: 32 columns of them are 16 KiB, and stay in the first-level cache for all tiles of a unit. */
const THIN_DEPTH: i32 = 128;

/**
 * thin: [0 m, 1 n, 2 k, 3 a, 4 b, 5 c]: C [m, n] = Aᵀ·B with A [k, m] and B [k, n], m a multiple of 4 and n of 8, one
 * of them small: the gradients of low-rank matrices. Both are read as they lie. A unit is up to 32 places along the
 * longer side, and all of the other one.
 */
export function thin(p: usize, begin: i32, end: i32): void {
  const m = load<i32>(p),
    n = load<i32>(p, 4),
    k = load<i32>(p, 8);
  const a = load<usize>(p, 12),
    b = load<usize>(p, 16),
    c = load<usize>(p, 20);
  const aStride = (<usize>m) << 2,
    bStride = (<usize>n) << 2;
  for (let unit = begin; unit < end; unit++) {
    const isTall = m > n;
    const row = isTall ? unit << 5 : 0,
      column = isTall ? 0 : unit << 5;
    const lastRow = isTall ? min(m, row + 32) : m,
      lastColumn = isTall ? n : min(n, column + 32);
    for (let depth = 0; depth < k; depth += THIN_DEPTH) {
      const kb = min(THIN_DEPTH, k - depth);
      const from = a + <usize>depth * aStride,
        beside = b + <usize>depth * bStride;
      for (let i = row; i < lastRow; i += 4)
        for (let j = column; j < lastColumn; j += 8)
          thinTile(
            from + ((<usize>i) << 2),
            aStride,
            beside + ((<usize>j) << 2),
            bStride,
            kb,
            c + <usize>i * bStride + ((<usize>j) << 2),
            bStride,
            depth > 0,
          );
    }
  }
}
