/** Kernels around `gemm.ts`: packing of B and the product itself, each over a range of tasks. Parameter layouts: `../kernels/matmul.ts`. */
import { scratch } from './common';
import { DEPTH, gemmBlock, packColumns, packDirect, packRows, packTransposed } from './gemm';

/**
 * packB: [b, ldb, k, n, out, mode, panels, table]. A unit is one panel of one batch entry. mode: bit 0 = stored [N, K]; bits 1.. = encoding
 * (0 f32, 1 bf16, 2 f16). table: [bOffset elements] per batch entry, or 0.
 */
export function packB(p: usize, begin: i32, end: i32): void {
  const ldb = load<i32>(p, 4), k = load<i32>(p, 8), n = load<i32>(p, 12);
  const mode = load<i32>(p, 20), panels = load<i32>(p, 24);
  const table = load<usize>(p, 28);
  const encoding = mode >> 1;
  while (begin < end) {
    const batch = begin / panels;
    const first = begin - batch * panels;
    const last = min(panels, first + end - begin);
    const out = load<usize>(p, 16) + ((<usize>batch * <usize>panels * <usize>k) << 5);
    const offset = table != 0 ? load<i32>(table + (<usize>batch << 2)) : 0;
    const b = load<usize>(p) + (<usize>offset << (encoding == 0 ? 2 : 1));
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

/** Rows of A ready for the tile: in place where they lie so, else copied to scratch. `strideOut` is left in `blockStride`. */
let blockStride: usize = 0;
function blockOfA(a: usize, lda: i32, mode: i32, row: i32, rows: i32, depth: i32, k: i32, out: usize): usize {
  const encoding = mode >> 1;
  if (mode == 0) {
    blockStride = <usize>lda << 2;
    return a + (<usize>(row * lda + depth) << 2);
  }
  blockStride = <usize>k << 2;
  if (mode & 1) {
    if (encoding == 0) packTransposed<f32>(a, lda, row, rows, depth, k, out);
    else if (encoding == 1) packTransposed<u16>(a, lda, row, rows, depth, k, out);
    else packTransposed<i16>(a, lda, row, rows, depth, k, out);
  } else if (encoding == 1) packDirect<u16>(a, lda, row, rows, depth, k, out);
  else packDirect<i16>(a, lda, row, rows, depth, k, out);
  return out;
}

/**
 * gemm: [0 m, 1 n, 2 k, 3 a, 4 lda, 5 aMode, 6 panels, 7 c, 8 ldc, 9 init, 10 initStride, 11 h, 12 ldh, 13 hMode, 14 r, 15 uPanels, 16 rowsPerTask,
 * 17 columnsPerTask, 18 rowBlocks, 19 columnBlocks, 20 table]. A unit is one block of rows times one block of columns of one batch entry.
 * table: [a, panels, c, init] offsets in elements per batch entry, or 0. columnsPerTask is a multiple of 8.
 */
export function gemm(p: usize, begin: i32, end: i32): void {
  const m = load<i32>(p), n = load<i32>(p, 4), k = load<i32>(p, 8);
  const lda = load<i32>(p, 16), aMode = load<i32>(p, 20), ldc = load<i32>(p, 32);
  const init = load<usize>(p, 36), initStride = load<usize>(p, 40) << 2;
  const h = load<usize>(p, 44), ldh = load<i32>(p, 48), hMode = load<i32>(p, 52), r = load<i32>(p, 56);
  const rowsPerTask = load<i32>(p, 64), columnsPerTask = load<i32>(p, 68);
  const rowBlocks = load<i32>(p, 72), columnBlocks = load<i32>(p, 76);
  const table = load<usize>(p, 80);
  const edge = scratch, packed = scratch + 128;
  for (let unit = begin; unit < end; unit++) {
    const batch = unit / (rowBlocks * columnBlocks);
    const block = unit - batch * rowBlocks * columnBlocks;
    const columnBlock = block / rowBlocks;
    const row = (block - columnBlock * rowBlocks) * rowsPerTask;
    const column = columnBlock * columnsPerTask;
    const rows = min(rowsPerTask, m - row);
    const columns = min(columnsPerTask, n - column);
    let a = load<usize>(p, 12), panels = load<usize>(p, 24), c = load<usize>(p, 28), start = init;
    if (table != 0) {
      const entry = table + (<usize>batch << 4);
      a += load<usize>(entry) << (aMode > 1 ? 1 : 2);
      panels += load<usize>(entry, 4) << 2;
      c += load<usize>(entry, 8) << 2;
      if (init != 0) start += load<usize>(entry, 12) << 2;
    }
    const cStride = <usize>ldc << 2;
    c += <usize>row * cStride + (<usize>column << 2);
    if (init != 0) start += <usize>row * initStride + (<usize>column << 2);
    let startStride = initStride;
    panels += (<usize>column * <usize>k) << 2;
    for (let depth = 0; depth < k; depth += DEPTH) {
      const kb = min(DEPTH, k - depth);
      const ai = blockOfA(a, lda, aMode, row, rows, depth, kb, packed);
      gemmBlock(ai, blockStride, panels + (<usize>depth << 5), <usize>k << 5, kb, start, startStride, c, cStride, rows, columns, edge);
      start = c;
      startStride = cStride;
    }
    if (h != 0) {
      const hi = blockOfA(h, ldh, hMode, row, rows, 0, r, packed);
      const u = load<usize>(p, 60) + ((<usize>column * <usize>r) << 2);
      gemmBlock(hi, blockStride, u, <usize>r << 5, r, start, startStride, c, cStride, rows, columns, edge);
    }
  }
}
