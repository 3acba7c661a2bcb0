import { expect, it } from 'vitest';
import { shapeClass } from './shapeClass.js';

const linear = { batch: 1, transposeA: false, transposeB: true, encoded: false, operands: 'f32·bf16', fused: false };
const keyOf = (m: number, n: number, k: number): string | undefined => shapeClass({ ...linear, m, n, k })?.key;

it('rounds sizes up, and measures large ones as smaller ones', () => {
  expect(keyOf(512, 576, 1536)).toBe('NT f32·bf16 512x768x1536');
  expect(keyOf(500, 580, 1500)).toBe('NT f32·bf16 512x768x1536');
  expect(keyOf(4096, 49_152, 8192)).toBe('NT f32·bf16 1024x2048x2048');
  expect(keyOf(512, 8, 576)).toBe('NT f32·bf16 512x8x768');
});

it('keeps few rows as they are, and sizes that are no multiples of four', () => {
  expect([1, 2, 3, 4, 5].map((m) => keyOf(m, 64, 64))).toEqual([1, 2, 3, 4, 6].map((m) => `NT f32·bf16 ${m}x64x64`));
  expect(keyOf(512, 50_257, 768)).toBe('NT f32·bf16 512x2047x768');
});

it('tells apart how operands lie and are stored, and leaves stacks out', () => {
  const size = { ...linear, m: 8, n: 512, k: 64 };
  expect(shapeClass({ ...size, transposeA: true, transposeB: false })?.key).toBe('TN f32·bf16 8x512x64');
  expect(shapeClass({ ...size, operands: 'f32·block4', fused: false })?.key).toBe('NT f32·block4 8x512x64');
  expect(shapeClass({ ...size, batch: 2 })).toBeUndefined();
});
