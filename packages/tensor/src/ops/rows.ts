import { signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Gradients } from '../op.js';
import type { Tensor } from '../graph.js';
import { EncodedMatrix } from '../numeric/encoding.js';
import { shapeError, showShape, sizeOf } from '../shape.js';
import { mul } from './elementwise.js';
import { aMatrix } from './matmul.js';
import { reshape } from './view.js';

/** Rows by index: embedding lookup, its gradient, and writing into a cache. */

export const gatherRows = defineOp<'gatherRows', Record<never, never>>({
  name: 'gatherRows',
  infer([table, ids]) {
    if (
      table === undefined ||
      ids === undefined ||
      table.shape.length !== 2 ||
      !['f32', 'f16', 'bf16', 'i8'].includes(table.dtype) ||
      ids.dtype !== 'i32'
    ) {
      throw shapeError(
        'embedding',
        'a table [rows, width] in f32, f16, bf16 or i8 and ids in i32',
        `${table?.dtype}${showShape(table?.shape ?? [])} and ${ids?.dtype}`,
      );
    }
    return [{ shape: [...ids.shape, table.shape[1]], dtype: 'f32' }];
  },
  vjp({ inputs: [table, ids], cotangents: [g], needs: [needTable] }): Gradients {
    if (table === undefined || ids === undefined || g === undefined || needTable !== true) return [];
    return [apply(scatterAddRows, [g, ids], { rows: table.shape[0] })];
  },
  reference({ inputs: [table, ids], inputSpecs: [spec], outputs: [y] }) {
    const width = spec.shape[1];
    ids.forEach((id, at) => {
      for (let i = 0; i < width; i++) y[at * width + i] = table[id * width + i];
    });
  },
});

export interface ScatterAddRowsAttrs {
  /** Rows of the result. */
  readonly rows: number;
}

/** y[ids[n], :] += g[n, :], in the order of n; the gradient of an embedding table. */
export const scatterAddRows = defineOp<'scatterAddRows', ScatterAddRowsAttrs>({
  name: 'scatterAddRows',
  infer([g, ids], { rows }) {
    const width = g?.shape.at(-1) ?? 0;
    if (
      g === undefined ||
      ids === undefined ||
      g.dtype !== 'f32' ||
      ids.dtype !== 'i32' ||
      sizeOf(g.shape) !== sizeOf(ids.shape) * width
    ) {
      throw shapeError(
        'scatterAddRows',
        'f32 rows and one i32 id each',
        `${showShape(g?.shape ?? [])} and ${showShape(ids?.shape ?? [])}`,
      );
    }
    return [{ shape: [rows, width], dtype: 'f32' }];
  },
  vjp({ inputs: [, ids], cotangents: [g] }): Gradients {
    return ids === undefined || g === undefined ? [] : [apply(gatherRows, [g, ids], {})];
  },
  reference({ inputs: [g, ids], outputs: [y], outputSpecs: [spec] }) {
    const width = spec.shape[1];
    ids.forEach((id, at) => {
      for (let i = 0; i < width; i++) y[id * width + i] += g[at * width + i];
    });
  },
});

/**
 * cache [B, C, …] with value [B, T, …] written over places start[b] … start[b] + T of each row; places beyond C are
 * dropped. A cache in f16 takes values rounded to nearest even. In place when the cache is a persistent tensor that the
 * result is assigned to.
 */
export const writeAtOp = defineOp<'writeAt', Record<never, never>>({
  name: 'writeAt',
  infer([cache, value, start]) {
    const fits =
      cache !== undefined &&
      value !== undefined &&
      start !== undefined &&
      cache.shape[0] === value.shape[0] &&
      sizeOf(start.shape) === cache.shape[0];
    if (
      !fits ||
      cache.shape.slice(2).join() !== value.shape.slice(2).join() ||
      start.dtype !== 'i32' ||
      !(cache.dtype === 'f32' || (cache.dtype === 'f16' && sizeOf(cache.shape.slice(2)) % 2 === 0)) ||
      value.dtype !== 'f32'
    ) {
      throw shapeError(
        'writeAt',
        'a cache [B, C, …] in f32, or in f16 with an even number of elements at each place, a value [B, T, …] in ' +
          'f32, and B starts in i32',
        [cache, value, start].map((spec) => `${spec?.dtype}${showShape(spec?.shape ?? [])}`).join(', '),
      );
    }
    return [cache];
  },
  reference({ inputs: [cache, value, start], inputSpecs: [whole, part], outputs: [y] }) {
    y.set(cache);
    const [batch = 0, capacity = 0] = whole.shape;
    const length = part.shape[1];
    const row = sizeOf(whole.shape.slice(2));
    for (let b = 0; b < batch; b++) {
      for (let t = 0; t < length; t++) {
        const at = start[b] + t;
        if (at < 0 || at >= capacity) continue;
        for (let i = 0; i < row; i++) y[(b * capacity + at) * row + i] = value[(b * length + t) * row + i];
      }
    }
  },
  inPlace: [[0, 0]],
});

const checkEmbedding = signature('embedding', { table: aMatrix, ids: aTensor });

/**
 * Rows of `table` [V, D] at `ids` (i32, any shape S) → [...S, D] in f32. An id outside 0 … V−1 must be refused before.
 * Of encoded tables those with a scale for each row (`rows8`) can be looked up: code · absmax[id] / 127.
 */
export function embedding(table: Tensor | EncodedMatrix, ids: Tensor): Tensor {
  checkEmbedding(table, ids);
  if (!(table instanceof EncodedMatrix)) return apply(gatherRows, [table, ids], {});
  const { encoding, parts } = table;
  const [codes, absmax] = parts;
  if (encoding.kind !== 'rows8' || codes === undefined || absmax === undefined)
    throw shapeError('embedding', 'a dense table, or one with a scale for each row (rows8)', encoding.kind);
  const scale = apply(gatherRows, [reshape(absmax, [encoding.rows, 1]), ids], {});
  return mul(apply(gatherRows, [codes, ids], {}), mul(scale, 1 / 127));
}

/**
 * Writes `value` into a persistent `cache` at the positions from `start` on, in place: how key and value caches grow.
 */
export function writeAt(cache: Tensor, value: Tensor, start: Tensor): Tensor {
  return apply(writeAtOp, [cache, value, start], {});
}
