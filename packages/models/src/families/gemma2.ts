import type { Attention, AttentionContext, DecoderLayer, Layer, LayerCache, RotaryOptions } from '@lowrank/nn';
import { Module, RotaryTable } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys } from '../configKeys.js';
import { followed, ignored, refused } from '@lowrank/settings';
import { gemmaActivation, gemmaEmbeddingScale } from './gemma.js';
import { defineFamily } from '../family.js';
import { decoderTensors, gemmaNorms } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { layerWindows, transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Gemma 2 (Gemma Team 2024): Gemma with norms after attention and block too, soft caps on scores and logits, and a
 * window on every other layer.
 */
interface Gemma2Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
  /** On q·k. */
  readonly scale: number;
  /** 0 for none. */
  readonly scoreSoftcap: number;
  readonly logitSoftcap: number;
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
}

function gemma2Config(config: ConfigReader): Gemma2Config {
  const base = transformerConfig(config, {
    keyHeads: 4,
    headSize: 256,
    maxPositions: 8192,
    normEpsilon: 1e-6,
    tied: true,
    bosId: 2,
    eosId: 1,
  });
  gemmaActivation(config);
  config.requireOff('use_bidirectional_attention');
  const rotary = rotaryOptions(config, base);
  const window = config.optionalInteger('sliding_window', 4096);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    scale: config.number('query_pre_attn_scalar', 256) ** -0.5,
    scoreSoftcap: config.optionalNumber('attn_logit_softcapping', 50) ?? 0,
    logitSoftcap: config.optionalNumber('final_logit_softcapping', 30) ?? 0,
    windows: layerWindows(config, { layers: base.layers, window, sliding: (at) => at % 2 === 0 }),
  };
}

/** x + norm(attention(norm(x))), then x + norm(mlp(norm(x))). */
export class SandwichLayer extends Module implements DecoderLayer {
  private readonly attention: Attention;
  private readonly mlp: Layer;

  constructor(parts: { readonly norm: (name: string) => Layer; readonly attention: Attention; readonly mlp: Layer }) {
    super();
    this.attention = this.child('self_attn', parts.attention);
    this.mlp = this.child('mlp', parts.mlp);
    for (const name of [
      'input_layernorm',
      'post_attention_layernorm',
      'pre_feedforward_layernorm',
      'post_feedforward_layernorm',
    ])
      this.child(name, parts.norm(name));
  }

  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const normed = this.layer('input_layernorm').forward(x);
    const attended = scope('self_attn', () => this.attention.forward(normed, context, cache));
    const middle = add(x, this.layer('post_attention_layernorm').forward(attended));
    const normedMiddle = this.layer('pre_feedforward_layernorm').forward(middle);
    const fed = scope('mlp', () => this.mlp.forward(normedMiddle));
    return add(middle, this.layer('post_feedforward_layernorm').forward(fed));
  }
}

function gemma2Model(config: Gemma2Config, weights: WeightSource): CausalModel {
  const { attentionBias: bias, scale, scoreSoftcap: softcap, logitSoftcap, windows } = config;
  const rotary = new RotaryTable(config.rotary);
  return new Transformer(
    {
      config,
      rotary: [rotary],
      normOffset: 1,
      embeddingScale: gemmaEmbeddingScale,
      logitSoftcap,
      layer: (layer, at) =>
        new SandwichLayer({
          norm: (name) => rmsNorm(layer, name, { size: config.hiddenSize, epsilon: config.normEpsilon, offset: 1 }),
          attention: selfAttention(layer.under('self_attn'), config, {
            rotary,
            bias,
            scale,
            softcap,
            window: windows[at] ?? 0,
          }),
          mlp: gatedMlp(layer.under('mlp'), config, { activation: 'gelu_pytorch_tanh' }),
        }),
    },
    weights,
  );
}

export const gemma2 = defineFamily({
  name: 'Gemma 2',
  modelTypes: ['gemma2'],
  models: 'Gemma 2',
  features: 'soft caps on scores and logits, four norms a layer, a window on every other layer',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_activation: followed('gelu_pytorch_tanh; any other is refused'),
    attention_bias: followed('biases of q, k, v and o'),
    query_pre_attn_scalar: followed('scores are divided by its root'),
    final_logit_softcapping: followed('bound of the logits'),
    sliding_window: followed('tokens that a layer with a window sees'),
    layer_types: followed('whether each layer has a window'),
    use_bidirectional_attention: refused('true: every token would see all others'),
    hidden_act: ignored('transformers 5 reads hidden_activation'),
    attn_logit_softcapping: followed('bound of the scores'),
  },
  biasKeys: ['attention_bias'],
  llamaCpp: {
    architecture: 'gemma2',
    tensors: { ...decoderTensors, ...gemmaNorms },
    tiesOutput: true,
    base: {
      className: 'Gemma2ForCausalLM',
      normOffset: 1,
      keys: ['attn_logit_softcapping', 'final_logit_softcapping', 'attention.sliding_window'],
      config: ({ number, config }) => ({
        attn_logit_softcapping: number('attn_logit_softcapping', 50),
        final_logit_softcapping: number('final_logit_softcapping', 30),
        sliding_window: number('attention.sliding_window', 4096),
        // No key says it: the 27B model, of 46 layers, scales scores by the width over the heads, the others by a head.
        query_pre_attn_scalar:
          config['num_hidden_layers'] === 46
            ? Number(config['hidden_size']) / Number(config['num_attention_heads'])
            : config['head_dim'],
      }),
    },
  },
  config: gemma2Config,
  model: gemma2Model,
});
