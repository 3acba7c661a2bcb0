import { describe, expect, it } from 'vitest';
import { philox2x32, shuffled } from './random.js';

describe('philox2x32', () => {
  // Known answers of Random123 (tests/kat_vectors, philox2x32 with 10 rounds).
  it.each([
    [0x00000000, [0x00000000, 0x00000000], [0xff1dae59, 0x6cd10df2]],
    [0xffffffff, [0xffffffff, 0xffffffff], [0x2c3f628b, 0xab4fd7ad]],
    [0x13198a2e, [0x243f6a88, 0x85a308d3], [0xdd7ce038, 0xf62a4c12]],
  ])('key %d', (key, counter, answer) => {
    expect(philox2x32(key, [counter[0] ?? 0, counter[1] ?? 0])).toEqual(answer);
  });
});

describe('shuffled', () => {
  it('is a permutation, the same each time, another for another seed or stream', () => {
    const order = shuffled(1000, { seed: 3, stream: 0 });
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(shuffled(1000, { seed: 3, stream: 0 })).toEqual(order);
    expect(shuffled(1000, { seed: 4, stream: 0 })).not.toEqual(order);
    expect(shuffled(1000, { seed: 3, stream: 1 })).not.toEqual(order);
  });

  it('keeps its order across versions: saved runs depend on it', () => {
    expect([...shuffled(10, { seed: 42, stream: 0 })]).toMatchInlineSnapshot(`
      [
        4,
        6,
        7,
        0,
        1,
        8,
        9,
        3,
        5,
        2,
      ]
    `);
    expect([...shuffled(1, { seed: 42, stream: 0 })]).toEqual([0]);
    expect([...shuffled(0, { seed: 42, stream: 0 })]).toEqual([]);
  });

  it('favours no order: each of 24 comes up about equally often', () => {
    const counts = new Map<string, number>();
    for (let stream = 0; stream < 24_000; stream++) {
      const key = shuffled(4, { seed: 1, stream }).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    // Chi squared with 23 degrees of freedom exceeds 50 by chance once in a thousand.
    expect([...counts.values()].reduce((chi, n) => chi + (n - 1000) ** 2 / 1000, 0)).toBeLessThan(50);
  });
});
