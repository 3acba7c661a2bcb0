import { expect, test } from 'vitest';
import { arenasOf } from './arenasOf.js';
import type { Block } from './arenasOf.js';

interface Named extends Block {
  readonly name: string;
  readonly interferes: Set<Block>;
}

/** Blocks by name, [bytes, first, last], and pairs that interfere. */
function blocksOf(sizes: Record<string, readonly [number, number, number]>, pairs: readonly string[] = []): Named[] {
  const blocks = Object.entries(sizes).map(([name, [bytes, first, last]]): Named => ({
    name,
    bytes,
    first,
    last,
    interferes: new Set(),
  }));
  for (const pair of pairs) {
    const [a, b] = pair.split('').map((name) => blocks.find((block) => block.name === name));
    if (a === undefined || b === undefined) throw new Error(pair);
    a.interferes.add(b);
    b.interferes.add(a);
  }
  return blocks;
}

const spec = { separateReadWrite: true, maxBufferBytes: 1000 };
const sizesOf = (blocks: Named[], given = spec): number[] => arenasOf(blocks, given).map(({ bytes }) => bytes);

test('blocks that are not alive together share storage, and gaps are filled', () => {
  expect(sizesOf(blocksOf({ a: [8, 0, 1], b: [8, 2, 3], c: [4, 1, 2] }))).toEqual([12]);
});

test('blocks that interfere lie in different buffers, where the backend asks for it', () => {
  const blocks = blocksOf({ a: [8, 0, 1], b: [8, 1, 2] }, ['ab']);
  expect(sizesOf(blocks)).toEqual([8, 8]);
  expect(sizesOf(blocks, { ...spec, separateReadWrite: false })).toEqual([16]);
});

test('no buffer is larger than a device’s', () => {
  expect(sizesOf(blocksOf({ a: [8, 0, 1], b: [8, 0, 1] }), { ...spec, maxBufferBytes: 10 })).toEqual([8, 8]);
});

test('the order of colouring that leaves the least memory counts', () => {
  // By birth a and b have one colour, c and d one each; by what they meet c comes first, with a, and d, with b.
  const blocks = blocksOf({ a: [8, 0, 0], b: [8, 1, 1], c: [8, 2, 2], d: [8, 3, 3] }, ['ad', 'bc', 'cd']);
  const arenas = arenasOf(blocks, spec);
  expect(arenas.reduce((total, { bytes }) => total + bytes, 0)).toBe(16);
  for (const { places } of arenas)
    for (const block of places.keys())
      expect([...places.keys()].some((other) => block.interferes.has(other))).toBe(false);
});
