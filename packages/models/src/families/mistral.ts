import type { RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed, ignored } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/** Mistral 7B 0.1 to 0.3 and Nemo (Jiang et al. 2023): Llama's decoder, where every layer sees a window. */
interface MistralConfig extends TransformerConfig {
  readonly rotary: RotaryOptions;
  /** 0 for none. */
  readonly window: number;
}

function mistralConfig(config: ConfigReader): MistralConfig {
  const base = transformerConfig(config, {
    keyHeads: 8,
    maxPositions: 131_072,
    normEpsilon: 1e-6,
    tied: false,
    bosId: 1,
    eosId: 2,
  });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, base);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    window: config.optionalInteger('sliding_window', 4096) ?? 0,
  };
}

function mistralModel(config: MistralConfig, weights: WeightSource): CausalModel {
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: config.hiddenSize, epsilon: config.normEpsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer: (layer) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(layer.under('self_attn'), config, { rotary, window: config.window }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config),
        }),
    },
    weights,
  );
}

export const mistral = defineFamily({
  name: 'Mistral',
  modelTypes: ['mistral'],
  models: 'Mistral 7B 0.1 to 0.3, Nemo',
  features: 'a sliding window on every layer',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    sliding_window: followed('tokens that a layer with a window sees'),
    layer_types: ignored('transformers takes one window for all layers'),
  },
  llamaCpp: {
    architecture: 'llama',
    tensors: decoderTensors,
    interleavedHeads: true,
    model: { maxPositions: 131_072 },
  },
  config: mistralConfig,
  model: mistralModel,
});
