import type { Operand } from '@lowrank/tensor/backend';
import type { LeftForm, OperandEncoding, ProductPart } from '@lowrank/tensor/op';
import { chooseProduct } from '../../choices.js';
import type { ChoiceContext, ProductChoice, ProductSize } from '../../choices.js';

/** A·B + H·U, [m,k]·[k,n] once read the right way round. */
export interface Factors {
  readonly k: number;
  readonly a: Operand;
  /** A is stored [k, m]. */
  readonly transposeA: boolean;
  /** One operand, or the parts of an encoded matrix. */
  readonly b: readonly [Operand, ...Operand[]];
  readonly encoding: OperandEncoding | undefined;
  /** B is stored [n, k]. */
  readonly transposeB: boolean;
  readonly lowRank: LowRank | undefined;
}

/**
 * A matrix product as every tier of the kernel sees it: C[b] = s·(A[b]·B[b] + H·U + …) + addend, and what the epilogue
 * makes of it.
 */
export interface Product extends Factors {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  /** How A is made of two operands; of the vector form alone. */
  readonly made: (LeftForm & { readonly beside: Operand }) | undefined;
  /** What is added in the same sums, or with the epilogue `swiglu` the product beside this one. */
  readonly further: readonly Factors[];
  readonly out: Operand;
  readonly addend: Addend | undefined;
  /** s, one number. */
  readonly scale: Operand | undefined;
  readonly epilogue: Epilogue | undefined;
  /** Thin products with its results, of which each tile makes its share. */
  readonly parts: readonly Part[];
}

/** A thin product with a result: t, its number of columns, and where the tiles' sums go. */
export interface Part extends ProductPart {
  readonly t: Operand;
  readonly rank: number;
  readonly scale: Operand | undefined;
  readonly out: Operand;
}

/** The operands and results of an epilogue, beside `out`. */
export type Epilogue =
  | { readonly form: 'swiglu'; readonly gate: Operand | undefined; readonly up: Operand | undefined }
  | {
      readonly form: 'swigluGradient';
      readonly gate: Operand;
      readonly up: Operand;
      readonly dUp: Operand;
      readonly y: Operand | undefined;
    };

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
