import type { Tensor } from '@lowrank/tensor';
import { assign, attention, cast, embedding, less, minimum, reshape, where } from '@lowrank/tensor';
import { shapeError, showShape, writeAt } from '@lowrank/tensor/op';
import { Module } from './module.js';

/** The keys and values of one layer, kept between calls: [B, capacity, Hkv, D] each, persistent tensors. */
export interface LayerCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** What attention needs besides the hidden states. */
export interface AttentionContext {
  /** i32 [B, T]: the place of each token in its document: below T, or the cache's capacity. */
  readonly positions: Tensor;
  /** i32 [B, T, 2]: the bounds of each token's document within its row, for packed and padded rows. */
  readonly segments?: Tensor | undefined;
  /** i32 [B, T]: which text of a pair each token belongs to, 0 or 1; none where all belong to the first. */
  readonly types?: Tensor | undefined;
  /** f32 [B, C, H, W]: the images that a vision model's embeddings read. */
  readonly pixels?: Tensor | undefined;
  /** i32 [B]: how many tokens of each row the cache already holds. Goes with `cache`. */
  readonly lengths?: Tensor | undefined;
}

/**
 * Keys and values [P, Hkv, D] that stand in the place of those of each document's first P positions, as they are:
 * neither normed nor rotated (prefix tuning). What the document says begins at position P; packed and padded rows,
 * caches and windows need to know nothing of it.
 */
export type KeyValueProvider = () => { readonly keys: Tensor; readonly values: Tensor };

/** Queries [B, T, H, D], keys and values [B, T, Hkv, D]. */
export interface QueryKeyValue {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** How scores become weights; as the tensor op `attention` says. */
export interface ScoreOptions {
  /** Default true: a token sees none that come after it. */
  readonly causal?: boolean;
  readonly window?: number;
  readonly scale?: number;
  readonly softcap?: number;
}

/**
 * Attention, causal unless its layer says otherwise, wherever its queries, keys and values come from: documents within
 * a row, the cache, prefixes. A form of attention is a subclass with its projections.
 */
export abstract class AttentionBase extends Module {
  /** Set by prefix tuning. */
  prefix: KeyValueProvider | undefined;

  /** [B, T, H, D]; with a cache, keys and values are written after `lengths` and attention reads all of it. */
  protected attend(
    { q, k, v }: QueryKeyValue,
    { positions, segments, lengths }: AttentionContext,
    { cache, window, scale, softcap, causal }: ScoreOptions & { readonly cache: LayerCache | undefined },
  ): Tensor {
    const scores = { window, scale, softcap, causal };
    const prefix = this.prefix?.();
    const [ownKeys, ownValues] =
      prefix === undefined ? [k, v] : [standIn(prefix.keys, k, positions), standIn(prefix.values, v, positions)];
    if (cache === undefined || lengths === undefined) return attention(q, ownKeys, ownValues, { segments, ...scores });
    const keys = writeAt(cache.keys, ownKeys, lengths);
    const values = writeAt(cache.values, ownValues, lengths);
    assign(cache.keys, keys);
    assign(cache.values, values);
    return attention(q, keys, values, { lengths, ...scores });
  }
}

/** own [B, T, Hkv, D] with the rows of `table` [P, Hkv, D] at positions below P. */
function standIn(table: Tensor, own: Tensor, positions: Tensor): Tensor {
  const [batch = 0, length = 0, heads = 0, size = 0] = own.shape;
  const [count = 0] = table.shape;
  if (count === 0 || table.shape.slice(1).join() !== `${heads},${size}`)
    throw shapeError('the prefix of attention', `keys and values [P, ${heads}, ${size}]`, showShape(table.shape));
  // Positions are exact in f32.
  const places = cast(positions, 'f32');
  const rows = embedding(reshape(table, [count, heads * size]), cast(minimum(places, count - 1), 'i32'));
  return where(less(reshape(places, [batch, length, 1, 1]), count), reshape(rows, own.shape), own);
}
