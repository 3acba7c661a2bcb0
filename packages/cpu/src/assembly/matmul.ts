/**
 * Kernels around `gemm.ts`: packing of B and the product itself, each over a range of tasks. Parameter layouts:
 * `../kernels/matmul.ts`.
 */
import { load1, load4, madd, scratch, sum4 } from './common';
import { canDot, decodeRun, dotCodes, packEncoded, RUN } from './encoded';
import { DEPTH, gemmBlock, packColumns, packDirect, packRows, packTransposed } from './gemm';

/**
 * packB: [b, ldb, k, n, out, mode, panels, table]. A unit is one panel of one batch entry. mode: bit 0 = stored [N, K];
 * bits 1.. = encoding (0 f32, 1 bf16, 2 f16, 3 codes). table: [bOffset elements] per batch entry, or 0. Codes: b is a
 * description (`encoded.ts`), table the first element, one batch entry.
 */
export function packB(p: usize, begin: i32, end: i32): void {
  const ldb = load<i32>(p, 4),
    k = load<i32>(p, 8),
    n = load<i32>(p, 12);
  const mode = load<i32>(p, 20),
    panels = load<i32>(p, 24);
  const table = load<usize>(p, 28);
  const encoding = mode >> 1;
  if (encoding == 3) {
    packEncoded(load<usize>(p), <i32>table, mode & 1, ldb, k, n, load<usize>(p, 16), begin, end);
    return;
  }
  while (begin < end) {
    const batch = begin / panels;
    const first = begin - batch * panels;
    const last = min(panels, first + end - begin);
    const out = load<usize>(p, 16) + ((<usize>batch * <usize>panels * <usize>k) << 5);
    const offset = table != 0 ? load<i32>(table + ((<usize>batch) << 2)) : 0;
    const b = load<usize>(p) + ((<usize>offset) << (encoding == 0 ? 2 : 1));
    if (mode & 1) {
      if (encoding == 0) packColumns<f32>(b, ldb, k, n, out, first, last);
      else if (encoding == 1) packColumns<u16>(b, ldb, k, n, out, first, last);
      else packColumns<i16>(b, ldb, k, n, out, first, last);
    } else {
      if (encoding == 0) packRows<f32>(b, ldb, k, n, out, first, last);
      else if (encoding == 1) packRows<u16>(b, ldb, k, n, out, first, last);
      else packRows<i16>(b, ldb, k, n, out, first, last);
    }
    begin += last - first;
  }
}

/**
 * Rows of A ready for the tile: in place where they lie so, else copied to scratch. `strideOut` is left in
 * `blockStride`.
 */
let blockStride: usize = 0;
function blockOfA(a: usize, lda: i32, mode: i32, row: i32, rows: i32, depth: i32, k: i32, out: usize): usize {
  const encoding = mode >> 1;
  if (mode == 0) {
    blockStride = (<usize>lda) << 2;
    return a + ((<usize>(row * lda + depth)) << 2);
  }
  blockStride = (<usize>k) << 2;
  if (mode & 1) {
    if (encoding == 0) packTransposed<f32>(a, lda, row, rows, depth, k, out);
    else if (encoding == 1) packTransposed<u16>(a, lda, row, rows, depth, k, out);
    else packTransposed<i16>(a, lda, row, rows, depth, k, out);
  } else if (encoding == 1) packDirect<u16>(a, lda, row, rows, depth, k, out);
  else packDirect<i16>(a, lda, row, rows, depth, k, out);
  return out;
}

/**
 * gemm: [0 m, 1 n, 2 k, 3 a, 4 lda, 5 aMode, 6 panels, 7 c, 8 ldc, 9 init, 10 initStride, 11 h, 12 ldh, 13 hMode, 14 r,
 * 15 uPanels, 16 rowsPerTask, 17 columnsPerTask, 18 rowBlocks, 19 columnBlocks, 20 table]. A unit is one block of rows
 * times one block of columns of one batch entry. table: [a, panels, c, init] offsets in elements per batch entry, or 0.
 * columnsPerTask is a multiple of 8.
 */
export function gemm(p: usize, begin: i32, end: i32): void {
  const m = load<i32>(p),
    n = load<i32>(p, 4),
    k = load<i32>(p, 8);
  const lda = load<i32>(p, 16),
    aMode = load<i32>(p, 20),
    ldc = load<i32>(p, 32);
  const init = load<usize>(p, 36),
    initStride = load<usize>(p, 40) << 2;
  const h = load<usize>(p, 44),
    ldh = load<i32>(p, 48),
    hMode = load<i32>(p, 52),
    r = load<i32>(p, 56);
  const rowsPerTask = load<i32>(p, 64),
    columnsPerTask = load<i32>(p, 68);
  const rowBlocks = load<i32>(p, 72),
    columnBlocks = load<i32>(p, 76);
  const table = load<usize>(p, 80);
  const edge = scratch,
    packed = scratch + 128;
  for (let unit = begin; unit < end; unit++) {
    const batch = unit / (rowBlocks * columnBlocks);
    const block = unit - batch * rowBlocks * columnBlocks;
    const columnBlock = block / rowBlocks;
    const row = (block - columnBlock * rowBlocks) * rowsPerTask;
    const column = columnBlock * columnsPerTask;
    const rows = min(rowsPerTask, m - row);
    const columns = min(columnsPerTask, n - column);
    let a = load<usize>(p, 12),
      panels = load<usize>(p, 24),
      c = load<usize>(p, 28),
      start = init;
    if (table != 0) {
      const entry = table + ((<usize>batch) << 4);
      a += load<usize>(entry) << (aMode > 1 ? 1 : 2);
      panels += load<usize>(entry, 4) << 2;
      c += load<usize>(entry, 8) << 2;
      if (init != 0) start += load<usize>(entry, 12) << 2;
    }
    const cStride = (<usize>ldc) << 2;
    c += <usize>row * cStride + ((<usize>column) << 2);
    if (init != 0) start += <usize>row * initStride + ((<usize>column) << 2);
    let startStride = initStride;
    panels += (<usize>column * <usize>k) << 2;
    for (let depth = 0; depth < k; depth += DEPTH) {
      const kb = min(DEPTH, k - depth);
      const ai = blockOfA(a, lda, aMode, row, rows, depth, kb, packed);
      gemmBlock(
        ai,
        blockStride,
        panels + ((<usize>depth) << 5),
        (<usize>k) << 5,
        kb,
        start,
        startStride,
        c,
        cStride,
        rows,
        columns,
        edge,
      );
      start = c;
      startStride = cStride;
    }
    if (h != 0) {
      const hi = blockOfA(h, ldh, hMode, row, rows, 0, r, packed);
      const u = load<usize>(p, 60) + ((<usize>column * <usize>r) << 2);
      gemmBlock(hi, blockStride, u, (<usize>r) << 5, r, start, startStride, c, cStride, rows, columns, edge);
    }
  }
}

/** Σ x[i]·b[i] over `count` elements of an encoded vector b, in four vectors of partial sums. */
function dotEncoded<T>(x: usize, b: usize, start: i32, count: i32): f32 {
  let s0 = f32x4.splat(0),
    s1 = f32x4.splat(0),
    s2 = f32x4.splat(0),
    s3 = f32x4.splat(0);
  let i = 0;
  for (; i + 16 <= count; i += 16) {
    const at = x + ((<usize>i) << 2);
    s0 = madd(v128.load(at), load4<T>(b, start + i), s0);
    s1 = madd(v128.load(at, 16), load4<T>(b, start + i + 4), s1);
    s2 = madd(v128.load(at, 32), load4<T>(b, start + i + 8), s2);
    s3 = madd(v128.load(at, 48), load4<T>(b, start + i + 12), s3);
  }
  let total = sum4(v128.add<f32>(v128.add<f32>(s0, s1), v128.add<f32>(s2, s3)));
  for (; i < count; i++) total += load<f32>(x + ((<usize>i) << 2)) * load1<T>(b, start + i);
  return total;
}

/** y[columns] += x[k]·b[k, columns] for 16 columns from `column`, or those that are left. */
function columnsEncoded<T>(
  x: usize,
  xStride: usize,
  b: usize,
  ldb: i32,
  k: i32,
  column: i32,
  columns: i32,
  y: usize,
): void {
  if (columns == 16) {
    let s0 = v128.load(y),
      s1 = v128.load(y, 16),
      s2 = v128.load(y, 32),
      s3 = v128.load(y, 48);
    let at = column;
    for (let i = 0; i < k; i++) {
      const value = v128.load_splat<f32>(x);
      s0 = madd(value, load4<T>(b, at), s0);
      s1 = madd(value, load4<T>(b, at + 4), s1);
      s2 = madd(value, load4<T>(b, at + 8), s2);
      s3 = madd(value, load4<T>(b, at + 12), s3);
      x += xStride;
      at += ldb;
    }
    v128.store(y, s0);
    v128.store(y, s1, 16);
    v128.store(y, s2, 32);
    v128.store(y, s3, 48);
    return;
  }
  for (let j = 0; j < columns; j++) {
    let sum = load<f32>(y + ((<usize>j) << 2));
    for (let i = 0; i < k; i++) sum += load<f32>(x + <usize>i * xStride) * load1<T>(b, i * ldb + column + j);
    store<f32>(y + ((<usize>j) << 2), sum);
  }
}

function multiplyRow<T>(
  x: usize,
  b: usize,
  ldb: i32,
  k: i32,
  transposed: i32,
  column: i32,
  columns: i32,
  y: usize,
): void {
  if (!transposed) {
    columnsEncoded<T>(x, 4, b, ldb, k, column, columns, y);
    return;
  }
  for (let j = 0; j < columns; j++) {
    const at = y + ((<usize>j) << 2);
    store<f32>(at, load<f32>(at) + dotEncoded<T>(x, b, (column + j) * ldb, k));
  }
}

/**
 * y[m][16] += x[m, k]·b for up to 16 columns of codes, each decoded once for all rows; one row needs no decoded copy.
 * The f32 lie behind y.
 */
function multiplyCodes(
  m: i32,
  x: usize,
  lda: i32,
  e: usize,
  ldb: i32,
  k: i32,
  transposed: i32,
  column: i32,
  columns: i32,
  y: usize,
): void {
  const run = y + ((<usize>m) << 6);
  if (transposed && m == 1 && canDot(e)) {
    for (let j = 0; j < columns; j++) {
      const at = y + ((<usize>j) << 2);
      store<f32>(at, load<f32>(at) + dotCodes(e, (column + j) * ldb, k, x));
    }
    return;
  }
  if (transposed) {
    for (let j = 0; j < columns; j++) {
      for (let depth = 0; depth < k; depth += RUN) {
        const count = min(RUN, k - depth);
        decodeRun(e, (column + j) * ldb + depth, count, run);
        for (let row = 0; row < m; row++) {
          const at = y + ((<usize>(row * 16 + j)) << 2);
          store<f32>(at, load<f32>(at) + dotEncoded<f32>(x + ((<usize>(row * lda + depth)) << 2), run, 0, count));
        }
      }
    }
    return;
  }
  for (let i = 0; i < k; i++) {
    decodeRun(e, i * ldb + column, columns, run);
    for (let row = 0; row < m; row++)
      columnsEncoded<f32>(x + ((<usize>(row * lda + i)) << 2), 4, run, 0, 1, 0, columns, y + ((<usize>row) << 6));
  }
}

/**
 * gemv: [0 m, 1 n, 2 k, 3 a, 4 lda, 5 b, 6 ldb, 7 bMode, 8 c, 9 ldc, 10 init, 11 initStride, 12 h, 13 ldh, 14 r, 15 u,
 * 16 ldu, 17 uMode]: few rows, B as it lies, every element of it read once per row. Rows of a are contiguous. A unit is
 * 16 columns of all rows. Codes (bMode >> 1 = 3): b is a description.
 */
export function gemv(p: usize, begin: i32, end: i32): void {
  const m = load<i32>(p),
    n = load<i32>(p, 4),
    k = load<i32>(p, 8);
  const b = load<usize>(p, 20);
  const ldb = load<i32>(p, 24),
    bMode = load<i32>(p, 28);
  const init = load<usize>(p, 40),
    h = load<usize>(p, 48);
  for (let unit = begin; unit < end; unit++) {
    const column = unit << 4;
    const columns = min(16, n - column);
    const sums = scratch;
    const x = load<usize>(p, 12);
    const lda = load<i32>(p, 16);
    for (let row = 0; row < m; row++) {
      const at = sums + ((<usize>row) << 6);
      if (init == 0) memory.fill(at, 0, 64);
      else memory.copy(at, init + ((<usize>(row * load<i32>(p, 44) + column)) << 2), (<usize>columns) << 2);
    }
    if (bMode >> 1 == 3) multiplyCodes(m, x, lda, b, ldb, k, bMode & 1, column, columns, sums);
    for (let row = 0; row < m; row++) {
      const left = x + ((<usize>(row * lda)) << 2),
        at = sums + ((<usize>row) << 6);
      if (bMode >> 1 == 0) multiplyRow<f32>(left, b, ldb, k, bMode & 1, column, columns, at);
      else if (bMode >> 1 == 1) multiplyRow<u16>(left, b, ldb, k, bMode & 1, column, columns, at);
      else if (bMode >> 1 == 2) multiplyRow<i16>(left, b, ldb, k, bMode & 1, column, columns, at);
      if (h != 0)
        multiplyRow<f32>(
          h + ((<usize>(row * load<i32>(p, 52))) << 2),
          load<usize>(p, 60),
          load<i32>(p, 64),
          load<i32>(p, 56),
          load<i32>(p, 68) & 1,
          column,
          columns,
          at,
        );
      memory.copy(load<usize>(p, 32) + ((<usize>(row * load<i32>(p, 36) + column)) << 2), at, (<usize>columns) << 2);
    }
  }
}
