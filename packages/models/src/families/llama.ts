import type { RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed, ignored } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors, llamaBiases } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Llama 1 to 3.3 (Touvron et al. 2023; Grattafiori et al. 2024), as LlamaForCausalLM names things; also TinyLlama,
 * SmolLM 1 and 2 and others of its `model_type`.
 */
export interface LlamaConfig extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

export function llamaConfig(config: ConfigReader): LlamaConfig {
  const base = transformerConfig(config, { maxPositions: 2048, normEpsilon: 1e-6, tied: false, bosId: 1, eosId: 2 });
  config.oneOf('hidden_act', ['silu'], 'silu');
  // transformers 5 looks at neither `pretraining_tp` nor `sliding_window`.
  const rotary = rotaryOptions(config, base);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
  };
}

function llamaModel(config: LlamaConfig, weights: WeightSource): CausalModel {
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: config.hiddenSize, epsilon: config.normEpsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer: (layer) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(layer.under('self_attn'), config, { rotary, bias: config.attentionBias }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config, { bias: config.mlpBias }),
        }),
    },
    weights,
  );
}

export const llama = defineFamily({
  name: 'Llama',
  modelTypes: ['llama'],
  models: 'Llama 1 to 3.3, TinyLlama, SmolLM 1 and 2, and others of that type',
  features: 'biases where the config says so',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
    mlp_bias: followed('biases of the gated block'),
    pretraining_tp: ignored('transformers 5 does not look at it'),
    sliding_window: ignored('transformers 5 does not look at it'),
  },
  biasKeys: ['attention_bias', 'mlp_bias'],
  llamaCpp: {
    architecture: 'llama',
    tensors: decoderTensors,
    interleavedHeads: true,
    model: { maxPositions: 2048 },
    base: { className: 'LlamaForCausalLM', biases: llamaBiases },
  },
  config: llamaConfig,
  model: llamaModel,
});
