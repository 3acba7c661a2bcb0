import { sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { operandOf } from './quantizedTensor.js';
import { quantize } from './quantizer.js';
import { checkSettings, emptyMatrix, encodingFor } from './settings.js';
import type { QuantizationSettings } from './settings.js';

const kinds: QuantizationSettings[] = [
  { type: 'nf4' },
  { type: 'nf4', doubleQuantization: true },
  { type: 'fp4', blockSize: 128 },
  { type: 'int8' },
];

test.each(kinds)('an empty matrix has room for what the codec makes: %j', (settings) => {
  const matrix = emptyMatrix(encodingFor(settings, [7, 43]), 'w');
  const made = operandOf(quantize(new Float32Array(7 * 43).fill(0.5), { ...settings, shape: [7, 43], dtype: 'f32' }));
  expect(matrix.encoding).toEqual(made.encoding);
  expect(matrix.parts.map((part) => sourceOf(part).bytes)).toEqual(made.parts.map(({ byteLength }) => byteLength));
});

test('settings that make no sense are refused', () => {
  expect(() => checkSettings({ type: 'int8', doubleQuantization: true })).toThrow(/int8.*double quantization/s);
  expect(() => checkSettings({ type: 'int8', blockSize: 64 })).toThrow(/int8.*block size of 64/s);
  expect(() => checkSettings({ type: 'nf4', blockSize: 48 })).toThrow(/block size/);
  kinds.forEach(checkSettings);
});
