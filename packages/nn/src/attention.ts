import type { Tensor } from '@lowrank/tensor';
import { reshape, slice } from '@lowrank/tensor';
import type { AttentionContext, LayerCache, QueryKeyValue, ScoreOptions } from './attentionBase.js';
import { AttentionBase } from './attentionBase.js';
import type { Layer, LinearLike } from './module.js';
import type { RotaryTable } from './rotary.js';

export interface AttentionLayerOptions extends ScoreOptions {
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  /** None for a layer that knows no positions (NoPE, Kazemnejad et al. 2023). */
  readonly rotary?: RotaryTable | undefined;
  /** What the norms of q and k take as one row: each head (Qwen 3, Gemma 3), or all heads together (OLMo 2). */
  readonly normOver?: 'head' | 'projection';
}

/** The layers of an attention block, under their checkpoints' names. Adapters may replace them. */
export type AttentionLayers = (
  | { readonly q: LinearLike; readonly k: LinearLike; readonly v: LinearLike }
  /** One layer of q's, then k's, then v's rows: `qkv_proj`. */
  | { readonly qkv: LinearLike }
) & { readonly o: LinearLike; readonly norms?: { readonly q: Layer; readonly k: Layer } | undefined };

/**
 * Causal self-attention with grouped queries and rotary positions: o = softmax(rope(q)·rope(k)ᵀ·scale)·v, then the
 * output projection (Vaswani et al. 2017; Ainslie et al. 2023); with norms of q and k before the rotation, a sliding
 * window or soft-capped scores where the options say so.
 */
export class Attention extends AttentionBase {
  private readonly fused: boolean;
  private readonly normed: boolean;

  constructor(
    layers: AttentionLayers,
    private readonly options: AttentionLayerOptions,
  ) {
    super();
    this.fused = 'qkv' in layers;
    this.normed = layers.norms !== undefined;
    if ('qkv' in layers) this.child('qkv_proj', layers.qkv);
    else for (const name of ['q', 'k', 'v'] as const) this.child(`${name}_proj`, layers[name]);
    this.child('o_proj', layers.o);
    if (layers.norms !== undefined)
      for (const name of ['q', 'k'] as const) this.child(`${name}_norm`, layers.norms[name]);
  }

  /**
   * x [B, T, width] → [B, T, width]; with a cache, keys and values are written after `lengths` and attention reads all
   * of it.
   */
  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const { heads, keyHeads, headSize, rotary, normOver: _, ...scores } = this.options;
    const [batch = 0, length = 0] = x.shape;
    const projected = this.project(x);
    const reach = { length: cache?.keys.shape[1] ?? length, segments: context.segments };
    const turned = (t: Tensor): Tensor => rotary?.apply(t, context.positions, reach) ?? t;
    const q = turned(this.heads('q', projected.q, heads));
    const k = turned(this.heads('k', projected.k, keyHeads));
    const v = reshape(projected.v, [batch, length, keyHeads, headSize]);
    const o = this.attend({ q, k, v }, context, { cache, ...scores });
    return this.layer('o_proj').forward(reshape(o, [batch, length, heads * headSize]));
  }

  /** [B, T, heads·D] each. */
  private project(x: Tensor): QueryKeyValue {
    const project = (name: string): Tensor => this.layer(name).forward(x);
    if (!this.fused) return { q: project('q_proj'), k: project('k_proj'), v: project('v_proj') };
    const { heads, keyHeads, headSize } = this.options;
    const all = project('qkv_proj');
    const [keys, values, end] = [heads * headSize, (heads + keyHeads) * headSize, (heads + 2 * keyHeads) * headSize];
    return { q: slice(all, 2, 0, keys), k: slice(all, 2, keys, values), v: slice(all, 2, values, end) };
  }

  private heads(name: 'q' | 'k', x: Tensor, count: number): Tensor {
    const split = (t: Tensor): Tensor => reshape(t, [t.shape[0] ?? 0, t.shape[1] ?? 0, count, this.options.headSize]);
    if (!this.normed) return split(x);
    const norm = this.layer(`${name}_norm`);
    return this.options.normOver === 'projection' ? split(norm.forward(x)) : norm.forward(split(x));
  }
}
