import type { Attention, AttentionContext, DecoderLayer, Layer, LayerCache, RotaryOptions } from '@lowrank/nn';
import { Module, RotaryTable } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * OLMo 2 (Walsh et al. 2024): norms after attention and block instead of before, and norms over all of q and all of k.
 */
interface Olmo2Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
}

function olmo2Config(config: ConfigReader): Olmo2Config {
  const base = transformerConfig(config, { maxPositions: 2048, normEpsilon: 1e-5, tied: false, eosId: 50_279 });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, base);
  return { ...base, rotary, maxPositions: rotary.maxPositions, attentionBias: config.boolean('attention_bias', false) };
}

/** x + norm(attention(x)), then x + norm(mlp(x)). */
export class PostNormLayer extends Module implements DecoderLayer {
  private readonly attention: Attention;
  private readonly mlp: Layer;

  constructor(parts: { readonly norm: (name: string) => Layer; readonly attention: Attention; readonly mlp: Layer }) {
    super();
    this.attention = this.child('self_attn', parts.attention);
    this.mlp = this.child('mlp', parts.mlp);
    for (const name of ['post_attention_layernorm', 'post_feedforward_layernorm']) this.child(name, parts.norm(name));
  }

  forward(x: Tensor, context: AttentionContext, cache?: LayerCache): Tensor {
    const attended = scope('self_attn', () => this.attention.forward(x, context, cache));
    const middle = add(x, this.layer('post_attention_layernorm').forward(attended));
    const fed = scope('mlp', () => this.mlp.forward(middle));
    return add(middle, this.layer('post_feedforward_layernorm').forward(fed));
  }
}

function olmo2Model(config: Olmo2Config, weights: WeightSource): CausalModel {
  const { attentionBias: bias, headSize, hiddenSize, normEpsilon: epsilon } = config;
  const rotary = new RotaryTable(config.rotary);
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer(layer) {
        const attention = layer.under('self_attn');
        return new PostNormLayer({
          norm: (name) => rmsNorm(layer, name, { size: hiddenSize, epsilon }),
          attention: selfAttention(attention, config, {
            rotary,
            bias,
            normOver: 'projection',
            norm: (name, heads) => rmsNorm(attention, name, { size: heads * headSize, epsilon }),
          }),
          mlp: gatedMlp(layer.under('mlp'), config),
        });
      },
    },
    weights,
  );
}

export const olmo2 = defineFamily({
  name: 'OLMo 2',
  modelTypes: ['olmo2'],
  models: 'OLMo 2',
  features: 'norms after attention and block, norms over all of q and of k',
  // PEFT has none for it: those of Llama.
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
  },
  biasKeys: ['attention_bias'],
  llamaCpp: { architecture: 'olmo2', tensors: decoderTensors },
  config: olmo2Config,
  model: olmo2Model,
});
