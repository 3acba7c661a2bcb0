import type { PieceTokens } from './pieceTokens.js';

export interface Merge {
  readonly rank: number;
  readonly id: number;
}

/** Symbols of a piece, and where each ends in it. */
export interface Symbols {
  readonly ids: number[];
  readonly ends: number[];
}

type Merges = ReadonlyMap<number, Merge>;

/** Merges neighbors until none can be merged: always the pair of lowest rank, the leftmost of equals. */
export function mergeSymbols(symbols: Symbols, merges: Merges): PieceTokens {
  if (symbols.ids.length < 2) return symbols;
  return symbols.ids.length <= 24 ? mergeShort(symbols, merges) : mergeLong(symbols, merges);
}

/** Of few symbols, looking at all pairs again is the fastest. */
function mergeShort({ ids, ends }: Symbols, merges: Merges): PieceTokens {
  const ranks: (Merge | undefined)[] = [];
  for (let at = 0; at + 1 < ids.length; at++) ranks.push(merges.get(pairKey(ids[at] ?? 0, ids[at + 1] ?? 0)));
  for (;;) {
    let best: Merge | undefined;
    let bestAt = -1;
    for (let at = 0; at < ranks.length; at++) {
      const merge = ranks[at];
      if (merge !== undefined && (best === undefined || merge.rank < best.rank)) [best, bestAt] = [merge, at];
    }
    if (best === undefined) return { ids, ends };
    ids.splice(bestAt, 2, best.id);
    ends.splice(bestAt, 1);
    ranks.splice(bestAt, 1);
    if (bestAt > 0) ranks[bestAt - 1] = merges.get(pairKey(ids[bestAt - 1] ?? 0, best.id));
    if (bestAt < ranks.length) ranks[bestAt] = merges.get(pairKey(best.id, ids[bestAt + 1] ?? 0));
  }
}

/** Of many, a heap of candidates over a linked list: time by n·log n. */
function mergeLong(symbols: Symbols, merges: Merges): PieceTokens {
  const count = symbols.ids.length;
  const ids = Int32Array.from(symbols.ids);
  const next = Int32Array.from({ length: count }, (_, at) => (at + 1 < count ? at + 1 : -1));
  const previous = Int32Array.from({ length: count }, (_, at) => at - 1);
  const last = Int32Array.from({ length: count }, (_, at) => at);
  const heap = new CandidateHeap();
  const consider = (at: number): void => {
    const right = next[at] ?? -1;
    if (right < 0) return;
    const merge = merges.get(pairKey(ids[at] ?? 0, ids[right] ?? 0));
    if (merge !== undefined) heap.push(merge.rank, at, merge.id);
  };
  for (let at = 0; at + 1 < count; at++) consider(at);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const { at, id } = top;
    const right = next[at] ?? -1;
    // Merged into another symbol meanwhile, or its neighbor was.
    if (ids[at] === -1 || right < 0 || merges.get(pairKey(ids[at] ?? 0, ids[right] ?? 0))?.id !== id) continue;
    ids[at] = id;
    ids[right] = -1;
    last[at] = last[right] ?? 0;
    const after = next[right] ?? -1;
    next[at] = after;
    if (after >= 0) previous[after] = at;
    const before = previous[at] ?? -1;
    if (before >= 0) consider(before);
    consider(at);
  }
  const merged: { ids: number[]; ends: number[] } = { ids: [], ends: [] };
  for (let at = 0; at >= 0; at = next[at] ?? -1) {
    merged.ids.push(ids[at] ?? 0);
    merged.ends.push(symbols.ends[last[at] ?? 0] ?? 0);
  }
  return merged;
}

/** Candidates by rank, then by place. */
class CandidateHeap {
  readonly #ranks: number[] = [];
  readonly #places: number[] = [];
  readonly #ids: number[] = [];

  push(rank: number, at: number, id: number): void {
    let child = this.#ranks.length;
    this.#set(child, rank, at, id);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  pop(): { at: number; id: number } | undefined {
    const [at, id] = [this.#places[0], this.#ids[0]];
    if (at === undefined || id === undefined) return undefined;
    const size = this.#ranks.length - 1;
    this.#swap(0, size);
    this.#ranks.pop();
    this.#places.pop();
    this.#ids.pop();
    let parent = 0;
    for (;;) {
      let least = parent;
      for (const child of [2 * parent + 1, 2 * parent + 2])
        if (child < size && this.#isBefore(child, least)) least = child;
      if (least === parent) return { at, id };
      this.#swap(parent, least);
      parent = least;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const byRank = (this.#ranks[left] ?? 0) - (this.#ranks[right] ?? 0);
    return byRank !== 0 ? byRank < 0 : (this.#places[left] ?? 0) < (this.#places[right] ?? 0);
  }

  #set(slot: number, rank: number, at: number, id: number): void {
    this.#ranks[slot] = rank;
    this.#places[slot] = at;
    this.#ids[slot] = id;
  }

  #swap(left: number, right: number): void {
    const [rank, at, id] = [this.#ranks[left] ?? 0, this.#places[left] ?? 0, this.#ids[left] ?? 0];
    this.#set(left, this.#ranks[right] ?? 0, this.#places[right] ?? 0, this.#ids[right] ?? 0);
    this.#set(right, rank, at, id);
  }
}

/** Two ids (below 2²⁴) as one number. */
export function pairKey(left: number, right: number): number {
  return left * 16_777_216 + right;
}
