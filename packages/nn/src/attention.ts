import type { Tensor } from '@lowrank/tensor';
import { reshape } from '@lowrank/tensor';
import type { AttentionContext, LayerCache } from './attentionBase.js';
import { AttentionBase } from './attentionBase.js';
import type { LinearLike } from './module.js';
import type { RotaryTable } from './rotary.js';

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
export class Attention extends AttentionBase {
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
    const o = this.attend({ q, k, v }, context, { cache });
    return this.layer('o_proj').forward(reshape(o, [batch, length, heads * headSize]));
  }
}
