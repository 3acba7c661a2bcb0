import { expect, it } from 'vitest';
import { philox2x32 } from '../random.js';
import type { Merge } from './bpeMerge.js';
import { mergeSymbols, pairKey } from './bpeMerge.js';

/** Merges of random tokens below 40, and of what they make. */
function randomMerges(seed: number): Map<number, Merge> {
  const merges = new Map<number, Merge>();
  for (let rank = 0; rank < 60; rank++) {
    const [left, right] = philox2x32(seed, [rank, 0]).map((number) => number % (10 + rank)) as [number, number];
    if (!merges.has(pairKey(left, right))) merges.set(pairKey(left, right), { rank, id: 10 + rank });
  }
  return merges;
}

/** Sennrich's algorithm, word for word. */
function slowly(given: readonly number[], merges: ReadonlyMap<number, Merge>): number[] {
  const ids = [...given];
  for (;;) {
    let best: { merge: Merge; at: number } | undefined;
    for (let at = 0; at + 1 < ids.length; at++) {
      const merge = merges.get(pairKey(ids[at] ?? 0, ids[at + 1] ?? 0));
      if (merge !== undefined && merge.rank < (best?.merge.rank ?? Infinity)) best = { merge, at };
    }
    if (best === undefined) return ids;
    ids.splice(best.at, 2, best.merge.id);
  }
}

it('long pieces are merged as short ones are: the lowest rank first, the leftmost of equals', () => {
  for (let seed = 0; seed < 40; seed++) {
    const merges = randomMerges(seed);
    const ids = Array.from({ length: 20 + 10 * seed }, (_, at) => philox2x32(seed, [at, 1])[0] % 4);
    const merged = mergeSymbols({ ids: [...ids], ends: ids.map((_, at) => at + 1) }, merges);
    expect(merged.ids).toEqual(slowly(ids, merges));
    expect(merged.ends.at(-1)).toBe(ids.length);
  }
});
