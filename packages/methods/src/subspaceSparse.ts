import type { Tensor } from '@lowrank/tensor';
import { concat, embedding, mul, neg, reshape, sum, zeros } from '@lowrank/tensor';
import { deferred, withGradient } from '@lowrank/tensor/op';
import { shuffled } from './subspaceDraws.js';
import type { Shuffled } from './subspaceDraws.js';
import type { SubspaceProjection, ProjectedWeight, ProjectionOptions, WeightPlace } from './subspaceProjection.js';

export interface SparseOptions extends ProjectionOptions {
  /** Coordinates that a weight is the sum of. */
  readonly entries: number;
}

/** Keeps the streams of this projection apart from others of the same seed. */
const stream = 0x5b5a0000;

/**
 * Sparse projection: Δθ[i] = Σ over c of ±z[π(c, i)] / √s, s entries a row. Positions are cut into blocks of d, and
 * within a block every coordinate comes once, in an order drawn for it (Fisher and Yates 1938): so each coordinate
 * moves ⌊D/d⌋ or ⌈D/d⌉ weights for each entry, the columns of P for s = 1 are exactly orthogonal, and d ≥ D is all of
 * the space. After the sparse projections of Li, Hastie and Church (2006), which Li et al. (2018) take with d/√D
 * expected entries a row; those are drawn independently, and leave some coordinates unused and some weights fixed.
 *
 * The gradient dz = Pᵀ·dθ gathers by the transposed table, so that it is as parallel as the forward pass and sums in
 * one fixed order.
 */
export function sparseProjection({ dimension, seed, entries }: SparseOptions): SubspaceProjection {
  const draw = drawer({ dimension, seed });
  const tables: Tensor[] = [];
  return {
    rowsOf: (place) => rowsOf(place, { dimension, entries, draw, tables }),
    dispose: () => tables.forEach((table) => table.dispose()),
  };
}

interface Drawn {
  readonly dimension: number;
  readonly entries: number;
  readonly draw: (copy: number, block: number) => Shuffled;
  /** To be freed. */
  readonly tables: Tensor[];
}

function rowsOf({ offset, size }: WeightPlace, { dimension, entries, draw, tables }: Drawn): ProjectedWeight {
  const first = Math.floor(offset / dimension);
  const blocks = Math.floor((offset + size - 1) / dimension) - first + 1;
  const visit = (
    see: (at: { copy: number; block: number; position: number; coordinate: number; turned: boolean }) => void,
  ): void => {
    for (let copy = 0; copy < entries; copy++) {
      for (let block = 0; block < blocks; block++) {
        const start = (first + block) * dimension - offset;
        const { order, bits } = draw(copy, first + block);
        for (let at = Math.max(0, -start); at < dimension && start + at < size; at++)
          see({ copy, block, position: start + at, coordinate: order[at] ?? 0, turned: bits[at] === 1 });
      }
    }
  };
  const forward = deferred(
    () => {
      const ids = new Int32Array(entries * size);
      visit(
        ({ copy, position, coordinate, turned }) =>
          (ids[copy * size + position] = coordinate + (turned ? dimension : 0)),
      );
      return ids;
    },
    [entries * size],
    { dtype: 'i32', name: 'subspaceEntries' },
  );
  const backward = deferred(
    () => {
      const ids = new Int32Array(entries * blocks * dimension).fill(2 * size);
      visit(
        ({ copy, block, position, coordinate, turned }) =>
          (ids[(copy * blocks + block) * dimension + coordinate] = position + (turned ? size : 0)),
      );
      return ids;
    },
    [entries * blocks * dimension],
    { dtype: 'i32', name: 'subspaceTransposed' },
  );
  tables.push(forward, backward);
  // A short weight in a large subspace uses few coordinates: adding those where they belong costs less than looking at
  // all.
  const dense = blocks * dimension <= 4 * size;
  return (z) => {
    const scaled = mul(z, 1 / Math.sqrt(entries));
    const looked = total(embedding(column([scaled, neg(scaled)]), forward), entries, size);
    return dense
      ? withGradient(looked, [scaled], (g) => [
          total(embedding(column([g, neg(g), zeros([1])]), backward), entries * blocks, dimension),
        ])
      : looked;
  };
}

function column(parts: readonly Tensor[]): Tensor {
  const joined = concat(parts, 0);
  return reshape(joined, [joined.size, 1]);
}

/** [count·size, 1] → [size] */
function total(x: Tensor, count: number, size: number): Tensor {
  return count === 1 ? reshape(x, [size]) : reshape(sum(reshape(x, [count, size]), { axis: 0 }), [size]);
}

/** Blocks are drawn one after the other into the same arrays; the last is remembered, since short weights share one. */
function drawer({ dimension, seed }: ProjectionOptions): Drawn['draw'] {
  const held = { order: new Int32Array(dimension), bits: new Uint8Array(dimension) };
  let [lastCopy, lastBlock] = [-1, -1];
  return (copy, block) => {
    if (copy !== lastCopy || block !== lastBlock) shuffled(dimension, [seed, stream + copy], block, held);
    [lastCopy, lastBlock] = [copy, block];
    return held;
  };
}
