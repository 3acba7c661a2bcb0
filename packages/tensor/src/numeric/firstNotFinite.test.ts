import { expect, test } from 'vitest';
import { firstNotFinite } from './firstNotFinite.js';
import { toBf16, toF16 } from './halfFloats.js';

test('NaN and infinity are found in every float dtype, the largest finite numbers are not', () => {
  for (const broken of [NaN, Infinity, -Infinity]) {
    expect(firstNotFinite(Float32Array.of(1, -3.4e38, broken), 'f32')).toBe(2);
    expect(firstNotFinite(Float64Array.of(1, broken), 'f64')).toBe(1);
    expect(firstNotFinite(Uint16Array.of(toF16(65_504), toF16(broken)), 'f16')).toBe(1);
    expect(firstNotFinite(Uint16Array.of(toBf16(3.3e38), toBf16(broken)), 'bf16')).toBe(1);
  }
  expect(firstNotFinite(Int32Array.of(2 ** 31 - 1), 'i32')).toBeUndefined();
});
