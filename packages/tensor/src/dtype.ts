import { LowrankError } from '@lowrank/errors';
import type { ArgumentKind } from './arguments.js';
import { kind, oneOf, signature } from './arguments.js';
import { fromBf16, fromF16, toBf16, toF16 } from './numeric/halfFloats.js';

/**
 * Element types. Arithmetic is f32 (indices i32, random bits and flags u32); f16 and bf16 are storage for frozen
 * weights, i8 and u8 are storage for quantized ones. f64 exists on the host only, for checks against the reference.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32' | 'i8' | 'u8' | 'f64';

/** Typed arrays that tensors are made of and read into. */
export type HostArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint16Array | Int8Array | Uint8Array;

const bytes: Record<DType, number> = { f64: 8, f32: 4, i32: 4, u32: 4, f16: 2, bf16: 2, i8: 1, u8: 1 };

export const aDtype: ArgumentKind = /* @__PURE__ */ oneOf(...Object.keys(bytes));
const someNumbers = kind(
  'an array or a typed array of numbers',
  (value) => Array.isArray(value) || ArrayBuffer.isView(value),
);

export function bytesPerElement(dtype: DType): number {
  return bytes[dtype];
}

/** The typed array that holds `dtype` on the host; f16 and bf16 are raw 16-bit patterns in a Uint16Array. */
export function hostArray(dtype: DType, length: number): HostArray;
export function hostArray(dtype: DType, buffer: ArrayBuffer, byteOffset?: number, length?: number): HostArray;
export function hostArray(dtype: DType, from: number | ArrayBuffer, byteOffset = 0, length?: number): HostArray {
  const make = arrays[dtype];
  if (typeof from === 'number') return new make(new ArrayBuffer(from * bytes[dtype]));
  return new make(from, byteOffset, length);
}

const arrays: Record<DType, new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => HostArray> = {
  f64: Float64Array,
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
};

/** The dtype that a typed array means when none is given. A Uint16Array is refused: it could be f16 or bf16. */
export function dtypeOf(data: HostArray): DType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Uint32Array) return 'u32';
  if (data instanceof Int8Array) return 'i8';
  if (data instanceof Uint8Array) return 'u8';
  if (data instanceof Float64Array) return 'f64';
  throw new LowrankError({
    code: 'tensor.dtype',
    what: 'the dtype of a Uint16Array',
    expected: 'f16 or bf16, stated',
    got: 'no dtype',
    remedy: "Pass { dtype: 'f16' } or { dtype: 'bf16' }.",
  });
}

const checkToFloat32 = signature('toFloat32', { data: someNumbers, dtype: aDtype });
const checkFromNumbers = signature('fromNumbers', { values: someNumbers, dtype: aDtype });

/** Any host array as f32 values. */
export function toFloat32(data: HostArray, dtype: DType): Float32Array {
  checkToFloat32(data, dtype);
  if (dtype === 'f16') return Float32Array.from(data, fromF16);
  if (dtype === 'bf16') return Float32Array.from(data, fromBf16);
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

/** Any host array as numbers in double precision: what the reference computes on. */
export function toFloat64(data: HostArray, dtype: DType): Float64Array {
  if (dtype === 'f16') return Float64Array.from(data, fromF16);
  if (dtype === 'bf16') return Float64Array.from(data, fromBf16);
  return Float64Array.from(data);
}

/** Numbers rounded into the host array of `dtype`. */
export function fromNumbers(values: ArrayLike<number>, dtype: DType): HostArray {
  checkFromNumbers(values, dtype);
  const result = hostArray(dtype, values.length);
  const round = dtype === 'f16' ? toF16 : dtype === 'bf16' ? toBf16 : (value: number) => value;
  for (let i = 0; i < values.length; i++) result[i] = round(values[i] ?? 0);
  return result;
}
