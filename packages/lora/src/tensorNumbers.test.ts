import { expect, test } from 'vitest';
import { tensorNumbers } from './tensorNumbers.js';

test('numbers of any float dtype, at odd places of a buffer, in memory of their own', () => {
  const bytes = Uint8Array.of(9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0);
  const view = bytes.subarray(1);
  const read = tensorNumbers(view, { name: 'x', dtype: 'F32' });
  expect([...read]).toEqual([1, -2]);
  bytes.fill(0);
  expect([...read]).toEqual([1, -2]);
  expect([...tensorNumbers(Uint8Array.of(0x80, 0x3f, 0, 0xc0), { name: 'x', dtype: 'BF16' })]).toEqual([1, -2]);
  expect([...tensorNumbers(Uint8Array.of(0, 0x3c, 0, 0xc0), { name: 'x', dtype: 'F16' })]).toEqual([1, -2]);
  expect(() => tensorNumbers(Uint8Array.of(1, 2), { name: 'x', dtype: 'I8' })).toThrow(
    expect.objectContaining({ code: 'lora.dtype' }),
  );
});
