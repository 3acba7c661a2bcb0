import { expect, it } from 'vitest';
import { bucketLength } from './bucketLength.js';

it('is one of few sizes, never too short, and wastes little', () => {
  const sizes = new Set<number>();
  for (let length = 1; length <= 20_000; length++) {
    const bucket = bucketLength(length);
    expect(bucket).toBeGreaterThanOrEqual(length);
    expect(bucketLength(bucket)).toBe(bucket);
    expect(bucket - length).toBeLessThan(length <= 1024 ? 64 : length / 8);
    sizes.add(bucket);
  }
  expect([...sizes].slice(0, 5)).toEqual([16, 32, 64, 128, 192]);
  expect([...sizes].filter((size) => size >= 960 && size <= 2560)).toEqual([
    960, 1024, 1152, 1280, 1408, 1536, 1664, 1792, 1920, 2048, 2304, 2560,
  ]);
  expect(sizes.size).toBe(2 + 16 + 8 * 4 + 2);
});
