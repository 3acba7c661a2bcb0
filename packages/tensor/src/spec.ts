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
