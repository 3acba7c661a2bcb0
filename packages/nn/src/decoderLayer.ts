import type { Tensor } from '@lowrank/tensor';
import { add } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { Attention } from './attention.js';
import type { AttentionContext, LayerCache } from './attentionBase.js';
import type { Layer } from './module.js';
import { Module } from './module.js';

/** One layer of a decoder: hidden states [B, T, width] → the same. */
export interface DecoderLayer extends Module {
  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor;
}

/** x + attention(norm(x)), then x + mlp(norm(x)), as Llama orders and names it. */
export class PreNormLayer extends Module implements DecoderLayer {
  private readonly attention: Attention;
  private readonly mlp: Layer;

  constructor(parts: {
    readonly inputNorm: Layer;
    readonly attention: Attention;
    readonly outputNorm: Layer;
    readonly mlp: Layer;
  }) {
    super();
    this.child('input_layernorm', parts.inputNorm);
    this.attention = this.child('self_attn', parts.attention);
    this.child('post_attention_layernorm', parts.outputNorm);
    this.mlp = this.child('mlp', parts.mlp);
  }

  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const normed = this.layer('input_layernorm').forward(x);
    const middle = scope('self_attn', () => add(x, this.attention.forward(normed, context, cache)));
    const normedMiddle = this.layer('post_attention_layernorm').forward(middle);
    return scope('mlp', () => add(middle, this.mlp.forward(normedMiddle)));
  }
}
