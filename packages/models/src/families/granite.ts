import type { RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors, llamaBiases } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Granite 3 (IBM 2024): Llama's decoder with four factors, on embeddings, on attention scores, on what each layer adds
 * to the residual stream, and (as a divisor) on logits.
 */
interface GraniteConfig extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly embeddingScale: number;
  /** On q·k. */
  readonly scale: number;
  readonly residualScale: number;
  readonly logitScale: number;
}

function graniteConfig(config: ConfigReader): GraniteConfig {
  const base = transformerConfig(config, { maxPositions: 2048, normEpsilon: 1e-6, tied: false, bosId: 1, eosId: 2 });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, base);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
    embeddingScale: config.number('embedding_multiplier', 1),
    scale: config.number('attention_multiplier', 1),
    residualScale: config.number('residual_multiplier', 1),
    logitScale: 1 / config.number('logits_scaling', 1),
  };
}

function graniteModel(config: GraniteConfig, weights: WeightSource): CausalModel {
  const { attentionBias, embeddingScale, logitScale, mlpBias, residualScale, scale } = config;
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: config.hiddenSize, epsilon: config.normEpsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      embeddingScale: () => embeddingScale,
      logitScale,
      layer: (layer) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(layer.under('self_attn'), config, { rotary, bias: attentionBias, scale }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config, { bias: mlpBias }),
          residualScale,
        }),
    },
    weights,
  );
}

export const granite = defineFamily({
  name: 'Granite',
  modelTypes: ['granite'],
  models: 'Granite 3.0 to 3.3 (dense)',
  features: 'factors on embeddings, attention scores, residual updates and logits',
  // PEFT has none for it: those of Llama.
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
    mlp_bias: followed('biases of the gated block'),
    embedding_multiplier: followed('factor on embeddings'),
    attention_multiplier: followed('factor on scores'),
    residual_multiplier: followed('factor on what a layer adds to the residual stream'),
    logits_scaling: followed('divisor of the logits'),
  },
  biasKeys: ['attention_bias', 'mlp_bias'],
  llamaCpp: {
    architecture: 'granite',
    tensors: decoderTensors,
    interleavedHeads: true,
    model: {
      maxPositions: 2048,
      factors: {
        'attention.scale': 'attention_multiplier',
        embedding_scale: 'embedding_multiplier',
        residual_scale: 'residual_multiplier',
        logit_scale: 'logits_scaling',
      },
    },
    base: { className: 'GraniteForCausalLM', biases: llamaBiases },
  },
  config: graniteConfig,
  model: graniteModel,
});
