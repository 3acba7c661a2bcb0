import type { Tensor } from '@lowrank/tensor';
import { add, mul } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { Attention } from './attention.js';
import type { AttentionContext, LayerCache } from './attentionBase.js';
import type { Layer } from './module.js';
import { Module } from './module.js';

/** One layer of a decoder: hidden states [B, T, width] → the same. */
export interface DecoderLayer extends Module {
  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor;
}

/**
 * x + s·attention(norm(x)), then x + s·mlp(norm(x)), as Llama orders and names it; s is 1 there, and Granite's
 * `residual_multiplier`.
 */
export class PreNormLayer extends Module implements DecoderLayer {
  private readonly attention: Attention;
  private readonly mlp: Layer;
  private readonly residualScale: number;

  constructor(parts: {
    readonly inputNorm: Layer;
    readonly attention: Attention;
    readonly outputNorm: Layer;
    readonly mlp: Layer;
    readonly residualScale?: number;
  }) {
    super();
    this.child('input_layernorm', parts.inputNorm);
    this.attention = this.child('self_attn', parts.attention);
    this.child('post_attention_layernorm', parts.outputNorm);
    this.mlp = this.child('mlp', parts.mlp);
    this.residualScale = parts.residualScale ?? 1;
  }

  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const normed = this.layer('input_layernorm').forward(x);
    const middle = scope('self_attn', () => add(x, this.scaled(this.attention.forward(normed, context, cache))));
    const normedMiddle = this.layer('post_attention_layernorm').forward(middle);
    return scope('mlp', () => add(middle, this.scaled(this.mlp.forward(normedMiddle))));
  }

  private scaled(update: Tensor): Tensor {
    return this.residualScale === 1 ? update : mul(update, this.residualScale);
  }
}
