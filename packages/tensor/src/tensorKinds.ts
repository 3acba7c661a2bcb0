import type { ArgumentKind } from './arguments.js';
import { kind } from './arguments.js';
import { Scalar, Tensor } from './graph.js';

/** The kinds of arguments that are tensors, or numbers on a device. */
export const aTensor: ArgumentKind = /* @__PURE__ */ kind('a Tensor', (value) => value instanceof Tensor);
export const aScalar: ArgumentKind = /* @__PURE__ */ kind('a Scalar', (value) => value instanceof Scalar);
/** An argument that is a Tensor, a Scalar or a number. */
export const aTensorLike: ArgumentKind = /* @__PURE__ */ kind(
  'a Tensor, a Scalar or a number',
  (value) => typeof value === 'number' || value instanceof Tensor || value instanceof Scalar,
);
