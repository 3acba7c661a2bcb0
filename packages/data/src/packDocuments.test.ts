import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packDocuments } from './packDocuments.js';
import type { PackedPiece } from './packDocuments.js';
import { complaint } from './testing.js';

interface Golden {
  library: string;
  cases: { lengths: number[]; capacity: number; bestFit: number[][][]; wrapped: number[][][] }[];
}

const golden = JSON.parse(
  readFileSync(new URL('../../../parity/golden/packing.json', import.meta.url), 'utf8'),
) as Golden;
const plain = (bins: PackedPiece[][]): number[][][] =>
  bins.map((bin) => bin.map(({ document, start, end }) => [document, start, end]));

describe(`the bins of ${golden.library}`, () => {
  it.each(golden.cases)('$lengths at $capacity', ({ lengths, capacity, bestFit, wrapped }) => {
    expect(plain(packDocuments(lengths, { capacity }))).toEqual(bestFit);
    expect(plain(packDocuments(lengths, { capacity, strategy: 'wrapped' }))).toEqual(wrapped);
  });
});

it('gives the published example', () => {
  const lengths = packDocuments([5, 2, 3, 1], { capacity: 4 }).map((bin) => bin.map(({ start, end }) => end - start));
  expect(lengths).toEqual([[4], [3, 1], [2]]);
});

it('packs 200,000 documents in a moment', () => {
  const lengths = Array.from({ length: 200_000 }, (_, i) => 1 + ((i * 7919) % 2048));
  const started = performance.now();
  const bins = packDocuments(lengths, { capacity: 4096 });
  expect(performance.now() - started).toBeLessThan(5000);
  const total = lengths.reduce((a, b) => a + b, 0);
  expect(bins.length).toBeLessThan((total / 4096) * 1.01);
});

it.each([0, -1, 2.5, NaN, Infinity])('refuses a capacity of %d', async (capacity) => {
  expect((await complaint(() => packDocuments([1], { capacity }))).code).toBe('data.capacity');
});
