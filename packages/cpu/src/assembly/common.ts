/** What all kernels share: operand encodings, small SIMD helpers, this thread's scratch memory. */

/**
 * Storage types of floating-point operands, as generic arguments: f32 itself, u16 for bf16 patterns, i16 for f16
 * patterns.
 */
export const F32: i32 = 0;
export const BF16: i32 = 1;
export const F16: i32 = 2;

/** Start of this thread's scratch memory; set once by `init`. */
export let scratch: usize = 0;
export function setScratch(address: usize): void {
  scratch = address;
}

/** Four half-precision patterns (low halves of the lanes) as f32: exact for normals, subnormals, infinities and NaN. */
// @inline
export function halfToFloat(bits: v128): v128 {
  const magnitude = v128.shl<i32>(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const value = v128.mul<f32>(magnitude, f32x4.splat(reinterpret<f32>(0x77800000)));
  const special = v128.gt<i32>(magnitude, i32x4.splat(0x0f7fffff));
  const exact = v128.or(value, v128.and(special, i32x4.splat(0x7f800000)));
  return v128.or(exact, v128.shl<i32>(v128.and(bits, i32x4.splat(0x8000)), 16));
}

/** Elements index..index+3 as f32. */
// @inline
export function load4<T>(base: usize, index: i32): v128 {
  if (sizeof<T>() == 4) return v128.load(base + ((<usize>index) << 2));
  const bits = v128.load_ext<u16>(base + ((<usize>index) << 1));
  if (isSigned<T>()) return halfToFloat(bits);
  return v128.shl<i32>(bits, 16);
}

/** One element as f32. */
// @inline
export function load1<T>(base: usize, index: i32): f32 {
  if (sizeof<T>() == 4) return load<f32>(base + ((<usize>index) << 2));
  const bits = <u32>load<u16>(base + ((<usize>index) << 1));
  if (isSigned<T>()) return f32x4.extract_lane(halfToFloat(i32x4.splat(bits)), 0);
  return reinterpret<f32>(bits << 16);
}

/** Writes the 4×4 transpose of rows a, b, c, d at `to`, `stride` bytes between rows. */
// @inline
export function transposeStore(a: v128, b: v128, c: v128, d: v128, to: usize, stride: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
  const ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5));
  v128.store(to + stride, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7));
  v128.store(to + 2 * stride, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5));
  v128.store(to + 3 * stride, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7));
}

/** Sum of the four lanes, pairwise. */
// @inline
export function sum4(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

// @inline
export function max4(x: v128): f32 {
  return max(
    max(f32x4.extract_lane(x, 0), f32x4.extract_lane(x, 1)),
    max(f32x4.extract_lane(x, 2), f32x4.extract_lane(x, 3)),
  );
}

/** a·b + c, in one rounding where the module is compiled for relaxed SIMD on a processor that can. */
// @inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return v128.add<f32>(c, v128.mul<f32>(a, b));
}
