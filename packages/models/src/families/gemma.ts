import type { GatedActivation, RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { DType } from '@lowrank/tensor';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys } from '../configKeys.js';
import { followed, ignored, refused } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/** Gemma 1 (Gemma Team 2024): norms that multiply by 1 + w, an embedding times √width, gelu in the gated block. */
interface GemmaConfig extends TransformerConfig {
  readonly rotary: RotaryOptions;
  readonly attentionBias: boolean;
}

function gemmaConfig(config: ConfigReader): GemmaConfig {
  const base = transformerConfig(config, {
    keyHeads: 16,
    headSize: 256,
    maxPositions: 8192,
    normEpsilon: 1e-6,
    tied: true,
    bosId: 2,
    eosId: 1,
  });
  // The first releases say gelu and mean its tanh form, as transformers knows.
  if (config.string('hidden_act', 'gelu') !== 'gelu')
    config.oneOf('hidden_act', ['gelu_pytorch_tanh'], 'gelu_pytorch_tanh');
  config.requireOff('use_bidirectional_attention');
  const rotary = rotaryOptions(config, base);
  return { ...base, rotary, maxPositions: rotary.maxPositions, attentionBias: config.boolean('attention_bias', false) };
}

export function gemmaActivation(config: ConfigReader): GatedActivation {
  return config.oneOf('hidden_activation', ['gelu_pytorch_tanh'], 'gelu_pytorch_tanh');
}

/** √width in the table's own precision, as transformers rounds it and the models were trained: in bf16, 33.94 is 34. */
export function gemmaEmbeddingScale(width: number, dtype: DType): number {
  const scale = Math.sqrt(width);
  return dtype === 'f16' || dtype === 'bf16' ? (toFloat32(fromNumbers([scale], dtype), dtype)[0] ?? scale) : scale;
}

function gemmaModel(config: GemmaConfig, weights: WeightSource): CausalModel {
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: config.hiddenSize, epsilon: config.normEpsilon, offset: 1 };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      normOffset: 1,
      embeddingScale: gemmaEmbeddingScale,
      layer: (layer) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(layer.under('self_attn'), config, { rotary, bias: config.attentionBias }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config, { activation: 'gelu_pytorch_tanh' }),
        }),
    },
    weights,
  );
}

export const gemma = defineFamily({
  name: 'Gemma',
  modelTypes: ['gemma'],
  models: 'Gemma 1',
  features: 'embedding times √width, norms by 1 + w, gelu in the gated block',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: followed('gelu_pytorch_tanh, which gelu means too; any other is refused'),
    hidden_activation: ignored('transformers 5 reads hidden_act'),
    attention_bias: followed('biases of q, k, v and o'),
    use_bidirectional_attention: refused('true: every token would see all others'),
  },
  biasKeys: ['attention_bias'],
  llamaCpp: {
    architecture: 'gemma',
    tensors: decoderTensors,
    tiesOutput: true,
    base: { className: 'GemmaForCausalLM', normOffset: 1, config: () => ({ hidden_act: 'gelu_pytorch_tanh' }) },
  },
  config: gemmaConfig,
  model: gemmaModel,
});
