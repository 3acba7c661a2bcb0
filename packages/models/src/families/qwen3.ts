import type { RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed } from '@lowrank/settings';
import { qwenWindowKeys, qwenWindows } from './qwen2.js';
import { defineFamily } from '../family.js';
import { decoderTensors, headNorms } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/** Qwen 3, the dense models (Yang et al. 2025): Qwen 2 without its biases, with norms on each head of q and k. */
interface Qwen3Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
}

function qwen3Config(config: ConfigReader): Qwen3Config {
  const base = transformerConfig(config, {
    keyHeads: 32,
    headSize: 128,
    maxPositions: 32_768,
    normEpsilon: 1e-6,
    tied: false,
  });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, base);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    windows: qwenWindows(config, base.layers),
  };
}

function qwen3Model(config: Qwen3Config, weights: WeightSource): CausalModel {
  const { headSize, hiddenSize, normEpsilon: epsilon } = config;
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: hiddenSize, epsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer(layer, at) {
        const attention = layer.under('self_attn');
        return new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(attention, config, {
            rotary,
            bias: config.attentionBias,
            window: config.windows[at] ?? 0,
            norm: (name) => rmsNorm(attention, name, { size: headSize, epsilon }),
          }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config),
        });
      },
    },
    weights,
  );
}

export const qwen3 = defineFamily({
  name: 'Qwen 3',
  modelTypes: ['qwen3'],
  models: 'Qwen 3 (dense)',
  features: 'norms on each head of q and k',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
    ...qwenWindowKeys,
  },
  biasKeys: ['attention_bias'],
  llamaCpp: {
    architecture: 'qwen3',
    tensors: { ...decoderTensors, ...headNorms },
    base: { className: 'Qwen3ForCausalLM', biases: { attention_bias: 'attn_q' } },
  },
  config: qwen3Config,
  model: qwen3Model,
});
