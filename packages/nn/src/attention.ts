import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import { assign, attention, concat, reshape, writeAt } from '@lowrank/tensor';
import type { LinearLike } from './module.js';
import { Module } from './module.js';
import type { RotaryTable } from './rotary.js';

/** The keys and values of one layer, kept between calls: [B, capacity, Hkv, D] each, persistent tensors. */
export interface LayerCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** What attention needs besides the hidden states. */
export interface AttentionContext {
  /** i32 [B, T]: the place of each token in its document. */
  readonly positions: Tensor;
  /** i32 [B, T, 2]: the bounds of each token's document within its row, for packed and padded rows. */
  readonly segments?: Tensor | undefined;
  /** i32 [B]: how many tokens of each row the cache already holds. Goes with `cache`. */
  readonly lengths?: Tensor | undefined;
}

/** Keys and values that every query sees besides its own document's: prefix tuning. [B, P, Hkv, D] each. */
export type KeyValueProvider = () => { readonly keys: Tensor; readonly values: Tensor };

export interface AttentionOptions {
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly rotary: RotaryTable;
}

/**
 * Causal self-attention with grouped queries and rotary positions:
 * o = softmax(rope(q)·rope(k)ᵀ/√D)·v, then the output projection (Vaswani et al. 2017; Ainslie et al. 2023). The four projections are layers that adapters may replace.
 */
export class Attention extends Module {
  /** Set by prefix tuning. Such keys come before all others and carry no position. */
  prefix: KeyValueProvider | undefined;

  constructor(
    projections: { q: LinearLike; k: LinearLike; v: LinearLike; o: LinearLike },
    private readonly options: AttentionOptions,
  ) {
    super();
    this.child('q_proj', projections.q);
    this.child('k_proj', projections.k);
    this.child('v_proj', projections.v);
    this.child('o_proj', projections.o);
  }

  /** x [B, T, width] → [B, T, width]; with a cache, keys and values are written behind `lengths` and attention reads all of it. */
  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const { heads, keyHeads, headSize, rotary } = this.options;
    const [batch = 0, length = 0] = x.shape;
    const split = (t: Tensor, count: number): Tensor => reshape(t, [batch, length, count, headSize]);
    const q = rotary.apply(split(this.layer('q_proj').forward(x), heads), context.positions);
    const k = rotary.apply(split(this.layer('k_proj').forward(x), keyHeads), context.positions);
    const v = split(this.layer('v_proj').forward(x), keyHeads);
    const o = this.attend({ q, k, v }, context, cache);
    return this.layer('o_proj').forward(reshape(o, [batch, length, heads * headSize]));
  }

  private attend({ q, k, v }: { q: Tensor; k: Tensor; v: Tensor }, { segments, lengths }: AttentionContext, cache: LayerCache | undefined): Tensor {
    if (this.prefix !== undefined && (segments !== undefined || cache !== undefined)) {
      throw new LowrankError({ code: 'nn.prefix', what: 'attention with a key/value prefix', expected: 'rows of one document each, without a cache', got: cache === undefined ? 'segments (documents within a row)' : 'a cache', remedy: 'Give each document a row of its own, and leave segments and cache out.' });
    }
    if (cache !== undefined && lengths !== undefined) {
      const keys = writeAt(cache.keys, k, lengths);
      const values = writeAt(cache.values, v, lengths);
      assign(cache.keys, keys);
      assign(cache.values, values);
      return attention(q, keys, values, { lengths });
    }
    if (this.prefix === undefined) return attention(q, k, v, { segments });
    const prefix = this.prefix();
    // Aligned at the end, so that every query sees the whole prefix before its own row.
    return attention(q, concat([prefix.keys, k], 1), concat([prefix.values, v], 1));
  }
}
