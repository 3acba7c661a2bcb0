import { expect, it } from 'vitest';
import { hashNumbers, hashText } from './hashText.js';

// What MurmurHash3_x86_32 gives for no bytes (the reference's test vectors).
it.each([
  ['', 0, 0],
  ['', 1, 0x514e28b7],
])('%j, seed %d', (text, seed, hash) => {
  expect(hashText(text, seed)).toBe(hash);
});

it('of the bytes of "test": the published vectors of MurmurHash3_x86_32', () => {
  const test = Int32Array.of(0x74736574);
  expect([hashNumbers(test), hashNumbers(test, 0x9747b28c)]).toEqual([0xba6bd213, 0x704b81dc]);
});

it('lies evenly, and tells apart what differs in one letter or in the seed', () => {
  const hashes = Array.from({ length: 20_000 }, (_, at) => hashText(`prompt ${at}`, 5));
  expect(new Set(hashes).size).toBeGreaterThan(19_995);
  const tenths = Array.from({ length: 10 }, (_, tenth) =>
    hashes.filter((hash) => Math.floor(hash / 2 ** 32 / 0.1) === tenth),
  );
  for (const { length } of tenths) expect(Math.abs(length - 2000)).toBeLessThan(200);
  expect(hashText('a', 1)).not.toBe(hashText('a', 2));
  expect(hashText('a')).not.toBe(hashText('a\0'));
});
