import type { Operand } from '@lowrank/tensor/backend';
import type { LeftForm, OperandEncoding } from '@lowrank/tensor/op';
import { chooseProduct } from '../../choices.js';
import type { ChoiceContext, ProductChoice, ProductSize } from '../../choices.js';

/**
 * A matrix product as every tier of the kernel sees it: C[b] = s·(A[b]·B[b] + H·U) + addend, [m,k]·[k,n] once read the
 * right way round.
 */
export interface Product {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  /** How A is made of two operands; of the vector form alone. */
  readonly made: (LeftForm & { readonly beside: Operand }) | undefined;
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
  /** s, one number. */
  readonly scale: Operand | undefined;
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

/** Elements of one k part, a whole number of steps. */
export function partLength(k: number, { bk, splits }: ProductChoice): number {
  const step = Math.max(bk, 8);
  return Math.ceil(Math.ceil(k / splits) / step) * step;
}

/** Bytes of partial sums; 0 without split K. */
export function productWorkspace(size: ProductSize, context: ChoiceContext): number {
  const { splits } = chooseProduct(size, context);
  return splits === 1 ? 0 : splits * size.batch * size.m * size.n * 4;
}
