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
import { layerWindows, transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * SmolLM 3 (Bakouch et al. 2025): Llama's decoder, where every fourth layer knows no positions. SmolLM 1 and 2 are
 * Llamas.
 */
interface Smollm3Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  /** Whether each layer turns its heads by position. */
  readonly rotates: readonly boolean[];
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

function smollm3Config(config: ConfigReader): Smollm3Config {
  const base = transformerConfig(config, {
    keyHeads: 4,
    maxPositions: 32_768,
    normEpsilon: 1e-6,
    tied: true,
    bosId: 128_000,
    eosId: 128_001,
  });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, { ...base, theta: 2_000_000 });
  const interval = config.integer('no_rope_layer_interval', 4);
  // The key says the opposite of its name: 1 for a layer that turns.
  const flags = config.has('no_rope_layers')
    ? config.numbers('no_rope_layers')
    : Array.from({ length: base.layers }, (_, at) => Number((at + 1) % interval !== 0));
  if (flags.length < base.layers)
    config.fail('no_rope_layers', `at least ${base.layers} of them, one for each layer`, flags);
  const rotates = flags.slice(0, base.layers).map((flag) => flag !== 0);
  const window = config.optionalInteger('sliding_window');
  const slides = config.boolean('use_sliding_window', false);
  return {
    ...base,
    rotary,
    maxPositions: rotary.maxPositions,
    rotates,
    windows: layerWindows(config, { layers: base.layers, window, sliding: (at) => slides && rotates[at] === false }),
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
  };
}

function smollm3Model(config: Smollm3Config, weights: WeightSource): CausalModel {
  const { rotates, windows, attentionBias, mlpBias } = config;
  const rotary = new RotaryTable(config.rotary);
  const norm = { size: config.hiddenSize, epsilon: config.normEpsilon };
  return new Transformer(
    {
      config,
      rotary: [rotary],
      layer: (layer, at) =>
        new PreNormLayer({
          inputNorm: rmsNorm(layer, 'input_layernorm', norm),
          attention: selfAttention(layer.under('self_attn'), config, {
            rotary: rotates[at] === true ? rotary : undefined,
            bias: attentionBias,
            window: windows[at] ?? 0,
          }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config, { bias: mlpBias }),
        }),
    },
    weights,
  );
}

export const smollm3 = defineFamily({
  name: 'SmolLM 3',
  modelTypes: ['smollm3'],
  models: 'SmolLM 3',
  features: 'every fourth layer without positions',
  // PEFT has none for it: those of Llama.
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
    mlp_bias: followed('biases of the gated block'),
    no_rope_layers: followed('1 for each layer that knows positions'),
    no_rope_layer_interval: followed('every which layer knows none, where no_rope_layers is left out'),
    use_sliding_window: followed('true: layers without positions have a window'),
    sliding_window: followed('tokens that a layer with a window sees'),
    layer_types: followed('whether each layer has a window'),
  },
  biasKeys: ['attention_bias', 'mlp_bias'],
  llamaCpp: {
    architecture: 'smollm3',
    tensors: decoderTensors,
    interleavedHeads: true,
    base: { className: 'SmolLM3ForCausalLM', biases: llamaBiases },
  },
  config: smollm3Config,
  model: smollm3Model,
});
