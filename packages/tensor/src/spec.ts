import type { DType } from './dtype.js';
import type { Shape } from './shape.js';

/** What a value is before it exists. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/**
 * What a product of few rows makes of its left operand as it reads it: the rows' rmsNorm with a second operand as the
 * weight, or silu(a)·up with up as the second operand.
 */
export type LeftForm = { readonly form: 'rmsNorm'; readonly epsilon: number } | { readonly form: 'swiglu' };

/**
 * What a product makes of its result r where it writes it. `swiglu`: r is a gate, that of the one further product its
 * up; the results are silu(gate)·up and, with `keeps`, gate and up. `swigluGradient`: r is the gradient of what gate
 * and up, two more operands, were joined to; the results are theirs and, with `forward`, silu(gate)·up once more.
 */
export type ProductEpilogue =
  | { readonly form: 'swiglu'; readonly keeps: boolean }
  | { readonly form: 'swigluGradient'; readonly forward?: boolean };

/** Rows, or columns, of a product's result that a {@link ProductPart} sums by themselves. */
export const partSize = 64;

/**
 * A thin product with one of a product's results, made where that is written: of each {@link partSize} rows (or
 * columns) the sum by itself, [⌈m/64⌉, …] (or [⌈n/64⌉, …]), which are left to be added up. With t of r columns: over
 * `rows` tᵀ·result, [r, n], or `transposed` resultᵀ·t, [n, r]; over `columns` result·t, [m, r]. `of` counts results as
 * the epilogue names them, whether they are written or not. `scaled`: times one number.
 */
export interface ProductPart {
  readonly of: number;
  readonly over: 'rows' | 'columns';
  readonly transposed: boolean;
  readonly scaled: boolean;
}
