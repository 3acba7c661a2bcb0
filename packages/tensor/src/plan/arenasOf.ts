import type { BackendSpec } from '../backend.js';

/** A stretch of storage that lives from its first write to its last use, both by position. */
export interface Block {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  /** Its interference: the blocks that must not share a buffer with this one. */
  readonly interferes: ReadonlySet<Block>;
}

/** A buffer, with blocks by their offsets in it. */
interface BlockArena<B extends Block> {
  readonly bytes: number;
  readonly places: ReadonlyMap<B, number>;
}

/** The orders in which blocks are coloured, of which the one that leaves the least memory counts. */
const orders: readonly ((a: Block, b: Block) => number)[] = [
  (a, b) => a.first - b.first,
  // Those that get in the way of most first (Welsh & Powell 1967).
  (a, b) => b.interferes.size - a.interferes.size || a.first - b.first,
];

/**
 * Places blocks in as few bytes as it finds: those that are not alive at the same time share storage (greedily, the
 * largest first: Pisarchyk & Lee 2020), and where a backend cannot read and write slices of one buffer in one kernel,
 * those that interfere lie in different buffers.
 */
export function arenasOf<B extends Block>(
  blocks: readonly B[],
  spec: Pick<BackendSpec, 'separateReadWrite' | 'maxBufferBytes'>,
): readonly BlockArena<B>[] {
  const colourings = spec.separateReadWrite
    ? orders.map((order) => colours(blocks, order))
    : [new Map<Block, number>()];
  const candidates = colourings.map((colouring) => placed(blocks, colouring, spec.maxBufferBytes));
  const bytesOf = (arenas: readonly BlockArena<B>[]): number => arenas.reduce((total, { bytes }) => total + bytes, 0);
  return candidates.reduce((best, arenas) => (bytesOf(arenas) < bytesOf(best) ? arenas : best));
}

/** Blocks that interfere get different colours: each, in that order, the lowest that no interfering block has. */
function colours(blocks: readonly Block[], order: (a: Block, b: Block) => number): Map<Block, number> {
  const result = new Map<Block, number>();
  for (const block of [...blocks].sort(order)) {
    const taken = new Set([...block.interferes].map((other) => result.get(other)));
    let free = 0;
    while (taken.has(free)) free++;
    result.set(block, free);
  }
  return result;
}

function placed<B extends Block>(
  blocks: readonly B[],
  colouring: ReadonlyMap<Block, number>,
  maxBytes: number,
): BlockArena<B>[] {
  const arenas: { colour: number | undefined; places: Map<B, number>; bytes: number }[] = [];
  for (const block of [...blocks].sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    const colour = colouring.get(block);
    let home = arenas.find((arena) => arena.colour === colour && gapFor(block, arena.places) + block.bytes <= maxBytes);
    if (home === undefined) arenas.push((home = { colour, places: new Map(), bytes: 0 }));
    const offset = gapFor(block, home.places);
    home.places.set(block, offset);
    home.bytes = Math.max(home.bytes, offset + block.bytes);
  }
  return arenas;
}

/** The smallest gap among the blocks alive at the same time that holds this one. */
function gapFor(block: Block, places: ReadonlyMap<Block, number>): number {
  const alive = [...places]
    .filter(([other]) => other.first <= block.last && block.first <= other.last)
    .sort(([, a], [, b]) => a - b);
  let best = -1;
  let bestSize = Infinity;
  let end = 0;
  for (const [other, offset] of alive) {
    const gap = offset - end;
    if (gap >= block.bytes && gap < bestSize) {
      best = end;
      bestSize = gap;
    }
    end = Math.max(end, offset + other.bytes);
  }
  return best >= 0 ? best : end;
}
