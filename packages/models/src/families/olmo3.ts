import { RotaryTable } from '@lowrank/nn';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, layerRotaryKeys, siluKey } from '../configKeys.js';
import { followed } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { PostNormLayer } from './olmo2.js';
import type { RotaryByLayerType } from '../rotaryConfig.js';
import { rotaryByLayerType } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { layerWindows, transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * OLMo 3 (Olmo Team 2025): OLMo 2 with a window on three of four layers, which keep plain frequencies where the others
 * are stretched.
 */
interface Olmo3Config extends TransformerConfig {
  readonly rotary: RotaryByLayerType;
  readonly attentionBias: boolean;
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
}

function olmo3Config(config: ConfigReader): Olmo3Config {
  const base = transformerConfig(config, { maxPositions: 2048, normEpsilon: 1e-5, tied: false, eosId: 50_279 });
  config.oneOf('hidden_act', ['silu'], 'silu');
  const window = config.optionalInteger('sliding_window', 4096);
  const positions = { ...base, theta: 500_000 };
  const rotary = rotaryByLayerType(config, { full: positions, sliding: { ...positions, thetaKey: null } });
  return {
    ...base,
    rotary,
    maxPositions: rotary.full.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    windows: layerWindows(config, { layers: base.layers, window, sliding: (at) => (at + 1) % 4 !== 0 }),
  };
}

function olmo3Model(config: Olmo3Config, weights: WeightSource): CausalModel {
  const { attentionBias: bias, headSize, hiddenSize, normEpsilon: epsilon, windows } = config;
  const full = new RotaryTable(config.rotary.full);
  const sliding = new RotaryTable(config.rotary.sliding);
  return new Transformer(
    {
      config,
      rotary: [full, sliding],
      layer(layer, at) {
        const attention = layer.under('self_attn');
        const window = windows[at] ?? 0;
        const norm = (name: string, heads: number) => rmsNorm(attention, name, { size: heads * headSize, epsilon });
        return new PostNormLayer({
          norm: (name) => rmsNorm(layer, name, { size: hiddenSize, epsilon }),
          attention: selfAttention(attention, config, {
            rotary: window > 0 ? sliding : full,
            bias,
            window,
            normOver: 'projection',
            norm,
          }),
          mlp: gatedMlp(layer.under('mlp'), config),
        });
      },
    },
    weights,
  );
}

export const olmo3 = defineFamily({
  name: 'OLMo 3',
  modelTypes: ['olmo3'],
  models: 'OLMo 3',
  features: 'OLMo 2 with windows; YaRN on the layers without one',
  // PEFT has none for it: those of Llama.
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...decoderKeys,
    ...layerRotaryKeys,
    hidden_act: siluKey,
    attention_bias: followed('biases of q, k, v and o'),
    sliding_window: followed('tokens that a layer with a window sees'),
    layer_types: followed('whether each layer has a window'),
  },
  biasKeys: ['attention_bias'],
  config: olmo3Config,
  model: olmo3Model,
});
