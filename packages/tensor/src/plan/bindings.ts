import type { Value } from './program.js';

/** A stretch of a buffer, in bytes. */
interface Stretch {
  readonly offset: number;
  readonly end: number;
}

/**
 * Whether a slice that begins at `offset`, behind others bound as one, is bound with them: what lies between is no more
 * than a few times what is bound already.
 */
export function liesNear(offset: number, bound: Stretch): boolean {
  return offset - bound.end <= 65_536 + 4 * (bound.end - bound.offset);
}

/** How many bindings a kernel takes for these operands, neighbours of one buffer and type as one; scalars are free. */
export function countBindings(operands: readonly Value[]): number {
  const bound: { root: Value; kind: string; offset: number; end: number }[] = [];
  for (const { root, place, bytes, spec } of operands.toSorted((a, b) => a.place - b.place)) {
    if (root.leaf?.kind === 'scalar') continue;
    // Kernels read rows of whole vectors of four as such.
    const kind = `${spec.dtype} ${(spec.shape.at(-1) ?? 1) % 4 === 0}`;
    const home = bound.find((each) => each.root === root && each.kind === kind && liesNear(place, each));
    if (home === undefined) bound.push({ root, kind, offset: place, end: place + bytes });
    else home.end = Math.max(home.end, place + bytes);
  }
  return bound.length;
}
