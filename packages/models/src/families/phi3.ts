import type { RotaryOptions } from '@lowrank/nn';
import { Attention, GatedMlp, PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { eachKey, followed, ignored } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { rmsNorm, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Phi-3, Phi-3.5 and Phi-4 mini (Abdin et al. 2024): q, k and v in one layer, gate and up in one; longrope, and in
 * Phi-4 mini a part of each head that does not turn.
 */
interface Phi3Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  /** 0 for none. */
  readonly window: number;
}

function phi3Config(config: ConfigReader): Phi3Config {
  const base = transformerConfig(config, {
    maxPositions: 4096,
    normEpsilon: 1e-5,
    tied: false,
    bosId: 1,
    eosId: 32_000,
  });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, { ...base, scalings: ['longrope'], partial: true, originalPositions: 4096 });
  return { ...base, rotary, maxPositions: rotary.maxPositions, window: config.optionalInteger('sliding_window') ?? 0 };
}

function phi3Model(config: Phi3Config, weights: WeightSource): CausalModel {
  const { hiddenSize, intermediateSize, heads, keyHeads, headSize, window } = config;
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: hiddenSize, epsilon: config.normEpsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer: (layer) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: new Attention(
            {
              qkv: layer.linear('self_attn.qkv_proj', [(heads + 2 * keyHeads) * headSize, hiddenSize]),
              o: layer.linear('self_attn.o_proj', [hiddenSize, heads * headSize]),
            },
            { heads, keyHeads, headSize, rotary, window },
          ),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: new GatedMlp({
            gateUp: layer.linear('mlp.gate_up_proj', [2 * intermediateSize, hiddenSize]),
            down: layer.linear('mlp.down_proj', [hiddenSize, intermediateSize]),
          }),
        }),
    },
    weights,
  );
}

export const phi3 = defineFamily({
  name: 'Phi-3',
  modelTypes: ['phi3'],
  models: 'Phi-3, 3.5 and 4 mini',
  features: '`qkv_proj` and `gate_up_proj` as one layer each, longrope, a part of each head that does not turn',
  // PEFT has none for it: as `q_proj` and `v_proj` are one layer with k, that layer.
  defaultTargets: ['qkv_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    partial_rotary_factor: followed('the share of each head that turns'),
    original_max_position_embeddings: followed('that next to the parameters alone, as in transformers'),
    hidden_act: siluKey,
    sliding_window: followed('tokens that a layer with a window sees'),
    ...eachKey(
      ['attention_bias', 'mlp_bias', 'lm_head_bias', 'embd_pdrop'],
      ignored('transformers 5 does not look at it'),
    ),
  },
  dropouts: { attention_dropout: 0, resid_pdrop: 0 },
  llamaCpp: {
    architecture: 'phi3',
    tensors: {
      ...decoderTensors,
      'model.layers.{i}.self_attn.qkv_proj': 'blk.{i}.attn_qkv',
      'model.layers.{i}.mlp.gate_up_proj': 'blk.{i}.ffn_up',
    },
  },
  config: phi3Config,
  model: phi3Model,
});
