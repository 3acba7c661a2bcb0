import type { RotaryOptions } from '@lowrank/nn';
import { PreNormLayer, RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, rotaryKeys, siluKey } from '../configKeys.js';
import { followed } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors } from '../llamaCppNames.js';
import { rotaryOptions } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { layerWindows, transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Qwen 2 and 2.5 (Yang et al. 2024): Llama's decoder with biases on q, k and v, and windows on its upper layers where
 * the config turns them on.
 */
interface Qwen2Config extends TransformerConfig {
  readonly rotary: RotaryOptions;
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
}

function qwen2Config(config: ConfigReader): Qwen2Config {
  const base = transformerConfig(config, { keyHeads: 32, maxPositions: 32_768, normEpsilon: 1e-6, tied: false });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const rotary = rotaryOptions(config, base);
  return { ...base, rotary, maxPositions: rotary.maxPositions, windows: qwenWindows(config, base.layers) };
}

/** What `qwenWindows` reads. */
export const qwenWindowKeys = {
  use_sliding_window: followed('true: the upper layers have a window'),
  sliding_window: followed('tokens that a layer with a window sees'),
  max_window_layers: followed('the first layer with a window'),
  layer_types: followed('whether each layer has a window'),
};

/** `sliding_window` counts where `use_sliding_window` is true, from layer `max_window_layers` on. */
export function qwenWindows(config: ConfigReader, layers: number): number[] {
  const window = config.boolean('use_sliding_window', false)
    ? config.optionalInteger('sliding_window', 4096)
    : undefined;
  const first = config.number('max_window_layers', 28);
  return layerWindows(config, { layers, window, sliding: (at) => at >= first });
}

function qwen2Model(config: Qwen2Config, weights: WeightSource): CausalModel {
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
            rotary,
            bias: true,
            outputBias: false,
            window: config.windows[at] ?? 0,
          }),
          outputNorm: rmsNorm(layer, 'post_attention_layernorm', norm),
          mlp: gatedMlp(layer.under('mlp'), config),
        }),
    },
    weights,
  );
}

export const qwen2 = defineFamily({
  name: 'Qwen 2',
  modelTypes: ['qwen2'],
  models: 'Qwen 2, 2.5',
  features: 'biases of q, k and v; windows on upper layers where they are turned on',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...rotaryKeys,
    hidden_act: siluKey,
    ...qwenWindowKeys,
  },
  llamaCpp: { architecture: 'qwen2', tensors: decoderTensors, base: { className: 'Qwen2ForCausalLM' } },
  config: qwen2Config,
  model: qwen2Model,
});
