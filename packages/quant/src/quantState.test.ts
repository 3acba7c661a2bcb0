import { expect, test } from 'vitest';
import { parseQuantState, serializeQuantState } from './quantState.js';

const text = (offset: number): string =>
  new TextDecoder().decode(
    serializeQuantState({
      type: 'nf4',
      blockSize: 64,
      dtype: 'bf16',
      shape: [2, 3],
      nested: { blockSize: 256, offset },
    }),
  );

// Python: `repr(struct.unpack('f', struct.pack('f', x))[0])`.
test.each([
  [Math.fround(0.5143605), '0.5143604874610901'],
  [0, '0.0'],
  [-0, '-0.0'],
  [3, '3.0'],
  [Math.fround(1e-4), '9.999999747378752e-05'],
  [Math.fround(1.1e-4), '0.00011000000085914508'],
  [Math.fround(2e-5), '1.9999999494757503e-05'],
  [2 ** -20, '9.5367431640625e-07'],
  [2 ** 60, '1.152921504606847e+18'],
  [1e15, '1000000000000000.0'],
  [1e16, '1e+16'],
  [-12.5, '-12.5'],
  [1e-7, '1e-07'],
])('numbers are written as Python writes them: %d', (offset, expected) => {
  expect(text(offset)).toBe(
    '{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 3], "nested_blocksize": 256, ' +
      `"nested_dtype": "float32", "nested_offset": ${expected}}`,
  );
});

test('what is written is read', () => {
  const state = { type: 'fp4', blockSize: 4096, dtype: 'f16', shape: [7], nested: undefined } as const;
  expect(parseQuantState(serializeQuantState(state), 'w', 'fp4')).toEqual(state);
});
