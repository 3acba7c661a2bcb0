import { describe, expect, test } from 'vitest';
import { bytesPerElement, dtypeOf, fromNumbers, hostArray, toFloat32, toFloat64 } from './dtype.js';
import { fromBf16, fromF16, toBf16, toF16 } from './numeric/halfFloats.js';

describe('f16', () => {
  test('every pattern survives the way to f32 and back', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = fromF16(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(fromF16(toF16(value)))).toBe(true);
      else expect(toF16(value)).toBe(bits);
    }
  });

  test('rounds to nearest, ties to even, from one rounding of the f32 value', () => {
    expect(toF16(1 + 2 ** -11)).toBe(toF16(1));
    expect(toF16(1 + 3 * 2 ** -11)).toBe(toF16(1 + 2 ** -9));
    expect(toF16(65519.996)).toBe(toF16(65504));
    expect(toF16(65520)).toBe(0x7c00);
    expect(toF16(2 ** -25)).toBe(0);
    expect(toF16(2 ** -25 * 1.0001)).toBe(1);
    expect(toF16(-(2 ** -14) * (1 - 2 ** -11))).toBe(0x8400);
    expect(Object.is(fromF16(toF16(-0)), -0)).toBe(true);
  });
});

describe('bf16', () => {
  test('every pattern survives the way to f32 and back', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = fromBf16(bits);
      if (Number.isNaN(value)) expect(Number.isNaN(fromBf16(toBf16(value)))).toBe(true);
      else expect(toBf16(value)).toBe(bits);
    }
  });

  test('rounds to nearest, ties to even', () => {
    expect(toBf16(1 + 2 ** -8)).toBe(toBf16(1));
    expect(toBf16(1 + 3 * 2 ** -8)).toBe(toBf16(1 + 2 ** -6));
    expect(fromBf16(toBf16(3.4e38))).toBe(Infinity);
  });
});

test('host arrays hold each dtype', () => {
  expect(hostArray('bf16', 3)).toBeInstanceOf(Uint16Array);
  expect(bytesPerElement('f64')).toBe(8);
  expect(Array.from(toFloat32(fromNumbers([0.5, -2], 'f16'), 'f16'))).toEqual([0.5, -2]);
  expect(Array.from(toFloat64(fromNumbers([7, -9], 'i8'), 'i8'))).toEqual([7, -9]);
  expect(dtypeOf(new Int32Array(1))).toBe('i32');
});

test('a Uint16Array does not say what it is', () => {
  expect(() => dtypeOf(new Uint16Array(1))).toThrow(/expected f16 or bf16, stated/);
});
