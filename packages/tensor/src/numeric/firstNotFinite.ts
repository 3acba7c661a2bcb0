import type { DType, HostArray } from '../dtype.js';

/** Bits of the exponent, all of which NaN and infinity set. */
const exponents: Partial<Record<DType, number>> = { f16: 0x7c00, bf16: 0x7f80 };

/** The index of the first NaN or infinity, by the bits; undefined where all are finite, as integers always are. */
export function firstNotFinite(values: HostArray, dtype: DType): number | undefined {
  const exponent = exponents[dtype];
  if (exponent === undefined && dtype !== 'f32' && dtype !== 'f64') return undefined;
  // A loop: weights of gigabytes go through here.
  for (let at = 0; at < values.length; at++) {
    const value = values[at] ?? NaN;
    if (exponent === undefined ? !Number.isFinite(value) : (value & exponent) === exponent) return at;
  }
  return undefined;
}
