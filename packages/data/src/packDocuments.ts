import { LowrankError } from '@lowrank/errors';

/** Tokens `start <= i < end` of a document. */
export interface PackedPiece {
  /** Index into the lengths. */
  readonly document: number;
  readonly start: number;
  readonly end: number;
}

/** Options of `packDocuments`. */
export interface PackOptions {
  /** Tokens in a bin. */
  readonly capacity: number;
  /**
   * `bestFit` (the default): best-fit decreasing; documents stay whole, and one longer than a bin loses its end.
   * `wrapped`: all documents one after another, cut wherever a bin is full. TRL calls them `bfd` and `wrapped`.
   */
  readonly strategy?: 'bestFit' | 'wrapped';
}

/**
 * Distributes documents over bins of a fixed capacity. Empty documents are left out. Equal to TRL's `pack_dataset`
 * (best-fit decreasing: Ding et al., "Fewer Truncations Improve Language Modeling", arXiv 2404.10830).
 *
 * Lengths [5, 2, 3, 1] at capacity 4 give bins of [4], [3, 1], [2].
 *
 * @throws LowrankError `data.capacity` where the capacity is no positive whole number
 */
export function packDocuments(lengths: readonly number[], options: PackOptions): PackedPiece[][] {
  const { capacity, strategy = 'bestFit' } = options;
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new LowrankError({
      code: 'data.capacity',
      what: 'the capacity of a packed sequence',
      expected: 'a whole number of at least 1',
      got: String(capacity),
    });
  }
  return strategy === 'wrapped' ? wrapped(lengths, capacity) : bestFitDecreasing(lengths, capacity);
}

function wrapped(lengths: readonly number[], capacity: number): PackedPiece[][] {
  const bins: PackedPiece[][] = [];
  let room = 0;
  for (const [document, length] of lengths.entries()) {
    for (let start = 0; start < length;) {
      if (room === 0) {
        bins.push([]);
        room = capacity;
      }
      const end = Math.min(length, start + room);
      bins.at(-1)?.push({ document, start, end });
      room -= end - start;
      start = end;
    }
  }
  return bins;
}

function bestFitDecreasing(lengths: readonly number[], capacity: number): PackedPiece[][] {
  const pieces = lengths
    .map((length, document) => ({ document, start: 0, end: Math.min(length, capacity) }))
    .filter(({ end }) => end > 0)
    .sort((a, b) => b.end - a.end);
  const bins: PackedPiece[][] = [];
  const byRoom = new RoomIndex(capacity);
  for (const piece of pieces) {
    let bin = byRoom.takeTightest(piece.end);
    if (bin === undefined) {
      bin = { index: bins.length, room: capacity };
      bins.push([]);
    }
    bins[bin.index]?.push(piece);
    byRoom.add({ index: bin.index, room: bin.room - piece.end });
  }
  return bins;
}

interface Bin {
  readonly index: number;
  readonly room: number;
}

/**
 * Bins by the room left in them; a set of bits, one for each room that occurs, finds the tightest fit 32 rooms at a
 * time.
 */
class RoomIndex {
  readonly #bins = new Map<number, number[]>();
  readonly #present: Uint32Array;

  constructor(capacity: number) {
    this.#present = new Uint32Array((capacity >>> 5) + 1);
  }

  add({ index, room }: Bin): void {
    const queue = this.#bins.get(room);
    if (queue === undefined) this.#bins.set(room, [index]);
    else queue.push(index);
    this.#present[room >>> 5] = (this.#present[room >>> 5] ?? 0) | (1 << (room & 31));
  }

  /** The bin with the least room that still holds `length`; among equals the one that came first. */
  takeTightest(length: number): Bin | undefined {
    let mask = -1 << (length & 31);
    for (let word = length >>> 5; word < this.#present.length; word++) {
      const bits = (this.#present[word] ?? 0) & mask;
      mask = -1;
      if (bits === 0) continue;
      const room = word * 32 + (31 - Math.clz32(bits & -bits));
      const queue = this.#bins.get(room) ?? [];
      const index = queue.shift();
      if (queue.length === 0) {
        this.#bins.delete(room);
        this.#present[word] = (this.#present[word] ?? 0) & ~(1 << (room & 31));
      }
      return index === undefined ? undefined : { index, room };
    }
    return undefined;
  }
}
