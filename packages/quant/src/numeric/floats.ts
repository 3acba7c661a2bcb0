import { fromF16, toBf16, toF16 } from '@lowrank/tensor/op';

/** Element types of a matrix before it is quantized, and after it is dequantized. */
export type FloatDtype = 'f32' | 'f16' | 'bf16';

/** Numbers as f32, or f16 or bf16 as bit patterns. */
export type Floats = Float32Array | Uint16Array;

let halves: Float32Array | undefined;

/**
 * Numbers as f32. What is f32 already is returned as it is.
 *
 * @param into where they go, if they are not f32 already
 */
export function widen(values: Floats, dtype: FloatDtype, into?: Float32Array): Float32Array {
  if (values instanceof Float32Array) return values;
  const result = (into ?? new Float32Array(values.length)).subarray(0, values.length);
  if (dtype === 'bf16') {
    const bits = new Uint32Array(result.buffer, result.byteOffset, result.length);
    for (let i = 0; i < bits.length; i++) bits[i] = values[i] << 16;
    return result;
  }
  // All 65,536 halves: five times as fast as taking each apart.
  halves ??= Float32Array.from({ length: 65_536 }, (_, bits) => fromF16(bits));
  for (let i = 0; i < result.length; i++) result[i] = halves[values[i]];
  return result;
}

/** An empty array for numbers of this dtype. */
export function floats(dtype: FloatDtype, length: number): Floats {
  return dtype === 'f32' ? new Float32Array(length) : new Uint16Array(length);
}

/** How a number is written into such an array: rounded once, to nearest, ties to even. */
export function narrowing(dtype: FloatDtype): (value: number) => number {
  return dtype === 'f32' ? Math.fround : dtype === 'f16' ? toF16 : toBf16;
}

/** Numbers rounded to those that f16 has, to nearest, ties to even, as f32. For numbers below 65,520 in size. */
export function throughF16(x: Float32Array, into: Float32Array): Float32Array {
  const result = into.subarray(0, x.length);
  const from = new Uint32Array(x.buffer, x.byteOffset, x.length);
  const to = new Uint32Array(result.buffer, result.byteOffset, x.length);
  for (let i = 0; i < x.length; i++) {
    const bits = from[i];
    if ((bits & 0x7fffffff) >= 0x38800000) to[i] = (bits + 0xfff + ((bits >>> 13) & 1)) & ~0x1fff;
    else {
      // Below the smallest normal half: f32 numbers beside 0.5 lie as far apart as f16's subnormal ones.
      const value = x[i];
      result[i] = value < 0 ? -(Math.fround(0.5 - value) - 0.5) : Math.fround(0.5 + value) - 0.5;
    }
  }
  return result;
}
