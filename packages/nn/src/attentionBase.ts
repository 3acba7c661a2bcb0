import { LowrankError } from '@lowrank/errors';
import type { Tensor } from '@lowrank/tensor';
import { assign, attention, concat, writeAt } from '@lowrank/tensor';
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
  /** i32 [B]: how many tokens of each row the cache already holds. Goes with `cache`. */
  readonly lengths?: Tensor | undefined;
}

/** Keys and values that every query sees besides its own document's: prefix tuning. [B, P, Hkv, D] each. */
export type KeyValueProvider = () => { readonly keys: Tensor; readonly values: Tensor };

/** Queries [B, T, H, D], keys and values [B, T, Hkv, D]. */
export interface QueryKeyValue {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** How scores become weights; as the tensor op `attention` says. */
export interface ScoreOptions {
  readonly window?: number;
  readonly scale?: number;
  readonly softcap?: number;
}

/** Causal attention, wherever its queries, keys and values come from: documents within a row, the cache, prefixes. A form of attention is a subclass with its projections. */
export abstract class AttentionBase extends Module {
  /** Set by prefix tuning. Such keys come before all others and carry no position. */
  prefix: KeyValueProvider | undefined;

  /** [B, T, H, D]; with a cache, keys and values are written behind `lengths` and attention reads all of it. */
  protected attend({ q, k, v }: QueryKeyValue, { segments, lengths }: AttentionContext, { cache, ...scores }: ScoreOptions & { readonly cache: LayerCache | undefined }): Tensor {
    if (this.prefix !== undefined && (segments !== undefined || cache !== undefined)) {
      throw new LowrankError({ code: 'nn.prefix', what: 'attention with a key/value prefix', expected: 'rows of one document each, without a cache', got: cache === undefined ? 'segments (documents within a row)' : 'a cache', remedy: 'Give each document a row of its own, and leave segments and cache out.' });
    }
    if (cache !== undefined && lengths !== undefined) {
      const keys = writeAt(cache.keys, k, lengths);
      const values = writeAt(cache.values, v, lengths);
      assign(cache.keys, keys);
      assign(cache.values, values);
      return attention(q, keys, values, { lengths, ...scores });
    }
    if (this.prefix === undefined) return attention(q, k, v, { segments, ...scores });
    const prefix = this.prefix();
    const [keys, values] = [concat([prefix.keys, k], 1), concat([prefix.values, v], 1)];
    const { window = 0 } = scores;
    if (window > 0 && window < (keys.shape[1] ?? 0)) {
      throw new LowrankError({ code: 'nn.prefix', what: 'attention with a key/value prefix', expected: `rows that fit the sliding window of ${window} positions together with the prefix`, got: `${keys.shape[1]} positions`, remedy: 'Shorten the rows, or use another adapter method for this model.' });
    }
    // Aligned at the end, so that every query sees the whole prefix before its own row.
    return attention(q, keys, values, scores);
  }
}
