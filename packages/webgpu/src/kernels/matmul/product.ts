import type { Operand } from '@lowrank/tensor/backend';
import type { OperandEncoding } from '@lowrank/tensor/op';
import type { KernelContext } from '../../kernel.js';

/**
 * A matrix product as every tier of the kernel sees it: C[b] = A[b]·B[b] + H·U + addend, [m,k]·[k,n] once read the
 * right way round.
 */
export interface Product {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  /** A is stored [k, m]. */
  readonly transposeA: boolean;
  /** One operand, or the parts of an encoded matrix. */
  readonly b: readonly [Operand, ...Operand[]];
  readonly encoding: OperandEncoding | undefined;
  /** B is stored [n, k]. */
  readonly transposeB: boolean;
  readonly out: Operand;
  readonly lowRank: LowRank | undefined;
  readonly addend: Addend | undefined;
}

/** `+ h·u`: h is [m, rank], u is [rank, n] or, transposed, [n, rank]. */
export interface LowRank {
  readonly h: Operand;
  readonly u: Operand;
  readonly rank: number;
  readonly transposeU: boolean;
}

/** `+ addend`: of the whole result's shape, or one row for all of them. */
export interface Addend {
  readonly value: Operand;
  readonly kind: 'full' | 'row';
}

/**
 * How a product is cut up. `tm`×`tn` results per thread, `wx`×`wy` threads, k in steps of `bk` (tiles) and in `splits`
 * parts.
 */
export interface Choice {
  readonly kind: 'register' | 'tile' | 'vector';
  readonly tm: number;
  readonly tn: number;
  readonly wx: number;
  readonly wy: number;
  readonly bk: number;
  readonly splits: number;
}

export interface ProductSize {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeB: boolean;
  readonly encoded: boolean;
}

const tile32 = { kind: 'tile', tm: 4, tn: 4, wx: 8, wy: 8, bk: 16 } as const;
const tile64 = { kind: 'tile', tm: 8, tn: 8, wx: 8, wy: 8, bk: 16 } as const;
const tall = { kind: 'tile', tm: 2, tn: 4, wx: 2, wy: 32, bk: 16 } as const;
const wide = { kind: 'tile', tm: 1, tn: 8, wx: 8, wy: 8, bk: 16 } as const;
const vector = { kind: 'vector', tm: 4, tn: 1, wx: 16, wy: 4, bk: 4 } as const;

/**
 * Picks a kernel by adapter and shape. Memory for split K is planned from the same choice, so it depends on nothing
 * else.
 */
export function chooseProduct(
  size: ProductSize,
  { software, tuning }: Pick<KernelContext, 'software' | 'tuning'>,
): Choice {
  const shape =
    tuning.matmul === undefined ? (software ? registerShape(size) : tileShape(size)) : forcedShape(size, tuning.matmul);
  return { ...shape, splits: splitsOf(size, shape, { software, tuning }) };
}

type Form = Omit<Choice, 'splits'>;

function registerShape({ m, n, encoded }: ProductSize): Form {
  // Every thread decodes for itself: with twice the rows, half as often.
  const tm = encoded && m >= 64 ? 16 : m >= 8 ? 8 : m >= 4 ? 4 : m >= 2 ? 2 : 1;
  return { kind: 'register', tm, tn: n > 4 ? 8 : 4, wx: 2, wy: m > tm ? 2 : 1, bk: 4 };
}

function tileShape(size: ProductSize): Form {
  const { batch, m, n } = size;
  if (m <= 4 && size.transposeB) return vector;
  if (n <= 8) return tall;
  if (m <= 8) return wide;
  const big = Math.ceil(m / 64) * Math.ceil(n / 64) * batch;
  return m >= 64 && n >= 64 && big >= 64 ? tile64 : tile32;
}

function forcedShape(size: ProductSize, kind: NonNullable<KernelContext['tuning']['matmul']>): Form {
  if (kind === 'register') return registerShape(size);
  if (kind === 'vector') return size.m <= 4 && size.transposeB ? vector : tile32;
  if (kind === 'bigTile') return tile64;
  return size.n <= 8 ? tall : size.m <= 8 ? wide : tile32;
}

function splitsOf(
  { batch, m, n, k }: ProductSize,
  form: Form,
  { software, tuning }: Pick<KernelContext, 'software' | 'tuning'>,
): number {
  if (form.kind === 'vector') return 1;
  const longest = Math.max(1, Math.ceil(k / (form.bk * 4)));
  if (tuning.splitK !== undefined) return Math.min(tuning.splitK, longest);
  const groups = batch * Math.ceil(m / (form.tm * form.wy)) * Math.ceil(n / (form.tn * form.wx));
  // A software adapter fills its few cores with a handful of groups; a GPU wants hundreds.
  const wanted = software ? 8 : 128;
  if (groups * 2 > wanted || k < 512) return 1;
  return Math.min(Math.ceil(wanted / groups), Math.ceil(k / 256), longest);
}

/** Elements of one k part, a whole number of steps. */
export function partLength(k: number, { bk, splits }: Choice): number {
  const step = Math.max(bk, 8);
  return Math.ceil(Math.ceil(k / splits) / step) * step;
}

/** Bytes of partial sums; 0 without split K. */
export function productWorkspace(size: ProductSize, context: Pick<KernelContext, 'software' | 'tuning'>): number {
  const { splits } = chooseProduct(size, context);
  return splits === 1 ? 0 : splits * size.batch * size.m * size.n * 4;
}
