import type { DType } from './dtype.js';
import type { Shape } from './shape.js';

/** What a value is before it exists. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}
