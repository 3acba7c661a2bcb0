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
  /** The merge of a symbol with its right neighbor, as it is now: a candidate with another rank is out of date. */
  const ranks = new Int32Array(count).fill(-1);
  const merged = new Int32Array(count);
  const heap = new CandidateHeap(count);
  const consider = (at: number): void => {
    const right = next[at] ?? -1;
    const merge = right < 0 ? undefined : merges.get(pairKey(ids[at] ?? 0, ids[right] ?? 0));
    ranks[at] = merge?.rank ?? -1;
    if (merge === undefined) return;
    merged[at] = merge.id;
    heap.push(merge.rank * mostPlaces + at);
  };
  for (let at = 0; at + 1 < count; at++) consider(at);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const rank = Math.floor(top / mostPlaces);
    const at = top - rank * mostPlaces;
    if (ranks[at] !== rank) continue;
    const right = next[at] ?? -1;
    ids[at] = merged[at] ?? 0;
    ranks[right] = -1;
    last[at] = last[right] ?? 0;
    const after = next[right] ?? -1;
    next[at] = after;
    if (after >= 0) previous[after] = at;
    const before = previous[at] ?? -1;
    if (before >= 0) consider(before);
    consider(at);
  }
  const tokens: { ids: number[]; ends: number[] } = { ids: [], ends: [] };
  for (let at = 0; at >= 0; at = next[at] ?? -1) {
    tokens.ids.push(ids[at] ?? 0);
    tokens.ends.push(symbols.ends[last[at] ?? 0] ?? 0);
  }
  return tokens;
}

/** More places than a text has, so that rank and place are one number: ranks lie below 2²⁴, strings end before 2²⁹. */
const mostPlaces = 2 ** 29;

/** The least number first. */
class CandidateHeap {
  #numbers: Float64Array;
  #size = 0;

  constructor(expected: number) {
    this.#numbers = new Float64Array(expected + 16);
  }

  push(number: number): void {
    if (this.#size === this.#numbers.length) {
      const larger = new Float64Array(2 * this.#size);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    const numbers = this.#numbers;
    let child = this.#size++;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      const above = numbers[parent] ?? 0;
      if (above <= number) break;
      numbers[child] = above;
      child = parent;
    }
    numbers[child] = number;
  }

  pop(): number | undefined {
    if (this.#size === 0) return undefined;
    const numbers = this.#numbers;
    const least = numbers[0];
    const moved = numbers[--this.#size] ?? 0;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && (numbers[child + 1] ?? 0) < (numbers[child] ?? 0)) child++;
      const below = numbers[child] ?? 0;
      if (below >= moved) break;
      numbers[parent] = below;
      parent = child;
    }
    numbers[parent] = moved;
    return least;
  }
}

/** Two ids (below 2²⁴) as one number. */
export function pairKey(left: number, right: number): number {
  return left * 16_777_216 + right;
}
