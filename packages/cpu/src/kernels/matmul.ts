import type { MatmulAttrs, Spec } from '@lowrank/tensor/op';
import { matmulOperands, matmulSizes } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { Call, CpuKernel, Place } from '../kernel.js';
import { at, encodingOf } from '../kernel.js';
import { describeCodes } from './encoded.js';

/** Columns of B that are packed at once are limited to about this many bytes. */
const packedLimit = 16 * 2 ** 20;
/** Few rows read B as it lies: packing it would cost more than it saves. */
const fewRows = 3;
const mostRowsPerTask = 48;
const mostColumnsPerTask = 512;

interface Sizes {
  batch: number;
  m: number;
  n: number;
  k: number;
  rank: number;
}

/** How B is cut for packing: so many batch entries, or so many columns of one entry, at a time. */
interface Cut {
  entries: number;
  columns: number;
}

/** Rows of A that a task multiplies with the panels it packs: packing them costs a fiftieth of that, or less. */
const mostRowsPerPanel = 256;
/** Elements of A that a task comes back to for each of its panels: half of a second-level cache of 1 MiB. */
const mostOfA = 128 * 1024;
/** Steps of K whose panel of 8 columns stays in the first-level cache. */
const mostDepth = 512;
/** Ranks whose panels fit into a thread's scratch memory. */
const mostRank = 1024;
/** A product of which one side is at most this wide is a gradient of a low-rank matrix. */
const thinSide = 64;

/**
 * y = a·b (+ h·u) (+ c), by 6×8 register tiles over panels of 8 columns of B (`assembly/gemm.ts`); the low-rank part
 * continues the same sums with its own panels, the addend is where the sums start. A plain product's tasks pack their
 * own panels (`assembly/product.ts`); aᵀ·b of a low-rank gradient needs none; stacks and transposed a have B packed
 * before.
 */
export const matmul: CpuKernel<'matmul'> = {
  workspaceBytes(inputs, _, attrs) {
    const sizes = sizesOf(inputs, attrs);
    if (skipsPacking(sizes, attrs) || isThin(sizes, inputs, attrs) || packsItself(sizes, attrs)) return 0;
    const { entries, columns } = cutOf(sizes);
    return entries * columns * sizes.k * 4 + columns * sizes.rank * 4;
  },
  lower(call) {
    const sizes = sizesOf(call.inputs, call.attrs);
    if (skipsPacking(sizes, call.attrs)) lowerFewRows(call, sizes);
    else if (isThin(sizes, call.inputs, call.attrs)) lowerThin(call, sizes);
    else if (packsItself(sizes, call.attrs)) lowerProduct(call, sizes);
    else lowerPacked(call, sizes);
  },
};

function packsItself({ batch, rank }: Sizes, { transposeA }: MatmulAttrs): boolean {
  return batch === 1 && !transposeA && rank <= mostRank;
}

/** dA = hᵀ·x and dB = gᵀ·h of a low-rank pair. */
function isThin({ batch, m, n }: Sizes, inputs: readonly Spec[], attrs: MatmulAttrs): boolean {
  const { transposeA, transposeB, encoding, lowRank, addend } = attrs;
  const isPlain = encoding === undefined && lowRank === undefined && addend === undefined;
  const fits = m % 4 === 0 && n % 8 === 0 && Math.min(m, n) <= thinSide;
  return batch === 1 && transposeA && !transposeB && isPlain && fits && inputs[1]?.dtype === 'f32';
}

function sizesOf(inputs: readonly Spec[], attrs: MatmulAttrs): Sizes {
  const sizes = matmulSizes(inputs, attrs);
  return { ...sizes, batch: sizes.batch ?? 1 };
}

function skipsPacking({ batch, m }: Sizes, { transposeA }: MatmulAttrs): boolean {
  return batch === 1 && m <= fewRows && (!transposeA || m === 1);
}

function cutOf({ batch, n, k }: Sizes): Cut {
  const padded = Math.ceil(n / 8) * 8;
  const entryBytes = padded * k * 4;
  if (entryBytes <= packedLimit)
    return { entries: Math.min(batch, Math.max(1, Math.floor(packedLimit / entryBytes))), columns: padded };
  return { entries: 1, columns: Math.max(64, Math.floor(packedLimit / (k * 4 * 64)) * 64) };
}

interface Epilogue {
  h: Place | undefined;
  u: Place | undefined;
  c: Place | undefined;
  /** Elements between the addend's rows; 0 for a row that all share. */
  addendStride: number;
}

function epilogueOf({ inputs, attrs }: Call<'matmul'>, n: number): Epilogue {
  const { h, u, addend } = matmulOperands(inputs, attrs);
  return { h, u, c: addend, addendStride: attrs.addend === 'row' ? 0 : n };
}

/** The number by which packing and the few-rows kernel know codes. */
const codesEncoding = 3;

/** B as the kernels take it: an address (of the numbers, or of a description of the codes) and an encoding. */
function weightOf({ inputs, attrs, recorder }: Call<'matmul'>): { address: number; encoding: number } {
  const { b } = matmulOperands(inputs, attrs);
  if (attrs.encoding !== undefined)
    return { address: describeCodes(recorder, attrs.encoding, b), encoding: codesEncoding };
  return { address: at(b, 0).address, encoding: encodingOf(at(b, 0)) };
}

/** What a product over whole operands begins with: sizes, places and strides of A, B, C, the addend and h. */
function operandWords(call: Call<'matmul'>, { m, n, k, rank }: Sizes): number[] {
  const { attrs, inputs, outputs } = call;
  const [a, b] = [at(inputs, 0), weightOf(call)];
  const { h, c, addendStride } = epilogueOf(call, n);
  return [
    m,
    n,
    k,
    a.address,
    k,
    b.address,
    attrs.transposeB ? k : n,
    Number(attrs.transposeB) + 2 * b.encoding,
    at(outputs, 0).address,
    n,
    c?.address ?? 0,
    addendStride,
    h?.address ?? 0,
    rank,
  ];
}

function lowerFewRows(call: Call<'matmul'>, sizes: Sizes): void {
  const { m, n, k, rank } = sizes;
  const { attrs, recorder } = call;
  const { u } = epilogueOf(call, n);
  const uTransposed = attrs.lowRank === 'nt';
  const words = [...operandWords(call, sizes), rank, u?.address ?? 0, uTransposed ? rank : n, Number(uTransposed)];
  recorder.launch(KernelId.gemv, words, Math.ceil(n / 16), 4 * m * (k + rank));
}

function lowerThin({ inputs, outputs, recorder }: Call<'matmul'>, { m, n, k }: Sizes): void {
  const words = [m, n, k, at(inputs, 0).address, at(inputs, 1).address, at(outputs, 0).address];
  recorder.launch(KernelId.thin, words, Math.ceil(Math.max(m, n) / 32), 32 * Math.min(m, n) * k);
}

function lowerProduct(call: Call<'matmul'>, sizes: Sizes): void {
  const { m, n, k, rank } = sizes;
  const { attrs, recorder } = call;
  const { u } = epilogueOf(call, n);
  const uTransposed = attrs.lowRank === 'nt';
  const rows = Math.ceil(m / Math.ceil(m / mostRowsPerPanel));
  // What is summed in which order must not depend on the number of threads.
  const depth = evenly(k, Math.min(mostDepth, Math.max(64, Math.floor(mostOfA / rows))));
  const { rowsPerTask, columnsPerTask } = ownTasks({ m, n, rows, threads: recorder.threads });
  const rowBlocks = Math.ceil(m / rowsPerTask);
  const words = [
    ...operandWords(call, sizes),
    u?.address ?? 0,
    uTransposed ? rank : n,
    Number(uTransposed) + 2 * (u === undefined ? 0 : encodingOf(u)),
    rowsPerTask,
    columnsPerTask,
    rowBlocks,
    depth,
  ];
  const units = rowBlocks * Math.ceil(n / columnsPerTask);
  recorder.launch(KernelId.product, words, units, rowsPerTask * columnsPerTask * k);
}

/** Parts of `size` that are alike, at most `most` each, in whole steps of 8. */
function evenly(size: number, most: number): number {
  return 8 * Math.ceil(size / Math.ceil(size / most) / 8);
}

/** Enough blocks that no thread idles at the end; fewer columns first, since panels are packed for each row block. */
function ownTasks({ m, n, rows, threads }: { m: number; n: number; rows: number; threads: number }): {
  rowsPerTask: number;
  columnsPerTask: number;
} {
  let [rowsPerTask, columnsPerTask] = [rows, 64];
  const enough = (): boolean =>
    threads === 1 || Math.ceil(m / rowsPerTask) * Math.ceil(n / columnsPerTask) >= threads * 8;
  while (!enough() && columnsPerTask > 16) columnsPerTask /= 2;
  while (!enough() && rowsPerTask > 24) rowsPerTask = Math.ceil(rowsPerTask / 2);
  return { rowsPerTask, columnsPerTask };
}

function lowerPacked(call: Call<'matmul'>, sizes: Sizes): void {
  const { batch, n } = sizes;
  const { entries, columns } = cutOf(sizes);
  const b = weightOf(call);
  for (let entry = 0; entry < batch; entry += entries) {
    for (let column = 0; column < n; column += columns) {
      lowerCut(call, sizes, {
        b,
        entry,
        entries: Math.min(entries, batch - entry),
        column,
        columns: Math.min(columns, n - column),
      });
    }
  }
}

interface Piece extends Cut {
  b: { address: number; encoding: number };
  entry: number;
  column: number;
}

interface Packing {
  readonly matrix: Piece['b'];
  /** Stored [columns, depth]. */
  readonly transposed: boolean;
  readonly depth: number;
  readonly out: number;
  /** One matrix per batch entry, rather than one for all. */
  readonly stacked: boolean;
}

function lowerCut(call: Call<'matmul'>, sizes: Sizes, piece: Piece): void {
  const { attrs, inputs, workspace } = call;
  const { k, rank } = sizes;
  const { b, entries } = piece;
  const { u } = matmulOperands(inputs, attrs);
  lowerPacking(call, sizes, piece, {
    matrix: b,
    transposed: attrs.transposeB,
    depth: k,
    out: workspace,
    stacked: entries > 1,
  });
  if (u !== undefined) {
    lowerPacking(call, sizes, piece, {
      matrix: { address: u.address, encoding: encodingOf(u) },
      transposed: attrs.lowRank === 'nt',
      depth: rank,
      out: packedLowRank(call, sizes, piece),
      stacked: false,
    });
  }
  lowerTiles(call, sizes, piece);
}

/** Where the panels of u lie: behind those of B. */
function packedLowRank({ workspace }: Call<'matmul'>, { k }: Sizes, { entries, columns }: Piece): number {
  return workspace + entries * panelsOf(columns) * 8 * k * 4;
}

function panelsOf(columns: number): number {
  return Math.ceil(columns / 8);
}

function lowerPacking(
  { recorder }: Call<'matmul'>,
  { n }: Sizes,
  { entry, entries, column, columns }: Piece,
  { matrix: { address, encoding }, transposed, depth, out, stacked }: Packing,
): void {
  const panels = panelsOf(columns);
  const first = entry * n * depth + column * (transposed ? depth : 1);
  const isCodes = encoding === codesEncoding;
  const start = isCodes ? address : address + first * (encoding === 0 ? 4 : 2);
  const offsets = (): number => recorder.parameters(Array.from({ length: entries }, (_, i) => i * n * depth));
  const table = stacked && !isCodes ? offsets() : 0;
  const words = [
    start,
    transposed ? depth : n,
    depth,
    columns,
    out,
    Number(transposed) + 2 * encoding,
    panels,
    isCodes ? first : table,
  ];
  // Handed out by 8 panels or more: neighbouring panels share the cache lines of B's rows.
  recorder.launch(KernelId.packB, words, panels * (stacked ? entries : 1), Math.max(1024, 8 * depth));
}

function lowerTiles(call: Call<'matmul'>, sizes: Sizes, piece: Piece): void {
  const { attrs, inputs, outputs, workspace, recorder } = call;
  const { m, n, k, rank } = sizes;
  const { entry, entries, column, columns } = piece;
  const [a, y] = [at(inputs, 0), at(outputs, 0)];
  const { h, c, addendStride } = epilogueOf(call, n);
  const { rowsPerTask, columnsPerTask } = tasks({ m, columns, entries, threads: recorder.threads });
  const rowBlocks = Math.ceil(m / rowsPerTask);
  const columnBlocks = Math.ceil(columns / columnsPerTask);
  const addendEntry = attrs.addend === 'full' ? m * n : 0;
  const steps = [m * k, panelsOf(columns) * 8 * k, m * n, addendEntry];
  const offsets = (): number[] => Array.from({ length: entries }, (_, i) => steps.map((step) => i * step)).flat();
  const words = [
    m,
    columns,
    k,
    a.address + entry * m * k * 4,
    attrs.transposeA ? m : k,
    Number(attrs.transposeA),
    workspace,
    y.address + (entry * m * n + column) * 4,
    n,
    c === undefined ? 0 : c.address + (entry * addendEntry + column) * 4,
    addendStride,
    h?.address ?? 0,
    rank,
    0,
    rank,
    packedLowRank(call, sizes, piece),
    rowsPerTask,
    columnsPerTask,
    rowBlocks,
    columnBlocks,
    entries > 1 ? recorder.parameters(offsets()) : 0,
  ];
  recorder.launch(KernelId.gemm, words, entries * rowBlocks * columnBlocks, rowsPerTask * columnsPerTask * k);
}

/** Blocks large enough to be worth packing for, and enough of them that no thread idles for long at the end. */
function tasks({ m, columns, entries, threads }: { m: number; columns: number; entries: number; threads: number }): {
  rowsPerTask: number;
  columnsPerTask: number;
} {
  let rowsPerTask = mostRowsPerTask;
  let columnsPerTask = mostColumnsPerTask;
  const enough = (): boolean =>
    threads === 1 || entries * Math.ceil(m / rowsPerTask) * Math.ceil(columns / columnsPerTask) >= threads * 8;
  while (!enough() && columnsPerTask > 64) columnsPerTask /= 2;
  while (!enough() && rowsPerTask > 12) rowsPerTask /= 2;
  return { rowsPerTask, columnsPerTask };
}
