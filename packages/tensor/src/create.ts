import { aFunction, aNumber, aShape, aString, kind, oneOf, optional, options, signature } from './arguments.js';
import type { DType, HostArray } from './dtype.js';
import { aDtype, bytesPerElement, dtypeOf } from './dtype.js';
import { Scalar, Tensor } from './graph.js';
import type { Shape } from './shape.js';
import { shapeError, showShape, sizeOf } from './shape.js';
import { Source } from './source.js';

/** Options of `tensor`: `f32` without a dtype; the name is for dumps and errors. */
export interface TensorOptions {
  dtype?: DType;
  name?: string;
}

const tensorOptions = options({ dtype: aDtype, name: aString });
const numbers = kind(
  'a typed array, an array of numbers or a number',
  (value) =>
    typeof value === 'number' ||
    (ArrayBuffer.isView(value) && !(value instanceof DataView)) ||
    (Array.isArray(value) && value.every((item) => typeof item === 'number')),
);
const checkTensor = signature('tensor', { data: numbers, shape: optional(aShape), options: tensorOptions });
const checkDeferred = signature('deferred', { make: aFunction, shape: aShape, options: tensorOptions });
const checkPersistent = signature('persistent', { shape: aShape, options: tensorOptions });
const checkScalar = signature('scalar', {
  value: aNumber,
  options: options({ dtype: oneOf('f32', 'i32', 'u32'), name: aString }),
});

/** A persistent tensor from host data (taken over, not copied, when it is a typed array). */
export function tensor(
  data: HostArray | readonly number[] | number,
  shape?: Shape,
  options: TensorOptions = {},
): Tensor {
  checkTensor(data, shape, options);
  const values = typeof data === 'number' ? [data] : data;
  const typed = Array.isArray(values) ? Float32Array.from(values) : (values as HostArray);
  const dtype = options.dtype ?? dtypeOf(typed);
  const dims = shape ?? (typeof data === 'number' ? [] : [typed.length]);
  const expected = sizeOf(dims) * bytesPerElement(dtype);
  if (typed.byteLength !== expected) {
    throw shapeError(
      `tensor ${options.name ?? ''}`,
      `${sizeOf(dims)} ${dtype} elements for shape ${showShape(dims)}`,
      `${typed.byteLength} bytes`,
    );
  }
  return new Tensor(new Source({ shape: dims, dtype }, typed, options.name ?? 'tensor'), 0);
}

/**
 * A persistent tensor whose data is made when it is first needed: a table or random numbers that planning can do
 * without.
 */
export function deferred(make: () => HostArray, shape: Shape, options: TensorOptions = {}): Tensor {
  checkDeferred(make, shape, options);
  return new Tensor(new Source({ shape, dtype: options.dtype ?? 'f32' }, make, options.name ?? 'tensor'), 0);
}

/** A persistent zero-filled tensor: optimizer state, a cache, an accumulator. Costs no host memory. */
export function persistent(shape: Shape, options: TensorOptions = {}): Tensor {
  checkPersistent(shape, options);
  return new Tensor(new Source({ shape, dtype: options.dtype ?? 'f32' }, undefined, options.name ?? 'state'), 0);
}

/** A host-settable input of every plan that uses it; see {@link Scalar}. */
export function scalar(value: number, options: { dtype?: 'f32' | 'i32' | 'u32'; name?: string } = {}): Scalar {
  checkScalar(value, options);
  return new Scalar(value, options.dtype, options.name);
}
