import type { GgufBase } from '@lowrank/gguf';
import { RotaryTable } from '@lowrank/nn';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { decoderKeys, dropoutKey, layerRotaryKeys, otherConfigKeys } from '../configKeys.js';
import type { KeyTable } from '@lowrank/settings';
import { eachKey, followed, ignored, refused } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { decoderTensors, gemmaNorms, headNorms } from '../llamaCppNames.js';
import { gemmaActivation, gemmaEmbeddingScale } from './gemma.js';
import { SandwichLayer } from './gemma2.js';
import { bodyNames, renamed } from '../renamed.js';
import type { RotaryByLayerType } from '../rotaryConfig.js';
import { rotaryByLayerType } from '../rotaryConfig.js';
import { gatedMlp, rmsNorm, selfAttention, Transformer } from '../transformer.js';
import type { TransformerConfig } from '../transformerConfig.js';
import { layerWindows, transformerConfig } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

/**
 * Gemma 3's text models (Gemma Team 2025): Gemma 2 with norms on each head of q and k in place of the caps, and
 * frequencies of their own for the layers with a window.
 */
interface Gemma3Config extends TransformerConfig {
  /** Where the decoder is in the model. */
  readonly path: string;
  readonly rotary: RotaryByLayerType;
  readonly attentionBias: boolean;
  /** On q·k. */
  readonly scale: number;
  /** 0 for none. */
  readonly logitSoftcap: number;
  /** Of each layer; 0 for none. */
  readonly windows: readonly number[];
}

/** Configs of the larger models leave out whatever is the class's default. */
const defaults = {
  vocabularySize: 262_208,
  hiddenSize: 2304,
  layers: 26,
  intermediateSize: 9216,
  heads: 8,
  keyHeads: 4,
  headSize: 256,
  maxPositions: 131_072,
  normEpsilon: 1e-6,
  tied: true,
  bosId: 2,
  eosId: 1,
};

function textConfig(config: ConfigReader): Gemma3Config {
  const base = transformerConfig(config, defaults);
  gemmaActivation(config);
  config.requireOff('use_bidirectional_attention');
  const window = config.optionalInteger('sliding_window', 4096);
  const pattern = config.integer('sliding_window_pattern', 6);
  const rotary = rotaryByLayerType(config, {
    full: { ...base, theta: 1_000_000 },
    sliding: { ...base, theta: 10_000, thetaKey: 'rope_local_base_freq' },
  });
  return {
    ...base,
    path: 'model',
    rotary,
    maxPositions: rotary.full.maxPositions,
    attentionBias: config.boolean('attention_bias', false),
    scale: config.number('query_pre_attn_scalar', 256) ** -0.5,
    logitSoftcap: config.optionalNumber('final_logit_softcapping') ?? 0,
    windows: layerWindows(config, { layers: base.layers, window, sliding: (at) => (at + 1) % pattern !== 0 }),
  };
}

function gemma3Model(config: Gemma3Config, weights: WeightSource): CausalModel {
  const {
    attentionBias: bias,
    headSize,
    hiddenSize,
    logitSoftcap,
    normEpsilon: epsilon,
    path,
    scale,
    windows,
  } = config;
  const rotary = { full: new RotaryTable(config.rotary.full), sliding: new RotaryTable(config.rotary.sliding) };
  return new Transformer(
    {
      config,
      path,
      rotary: [rotary.full, rotary.sliding],
      normOffset: 1,
      embeddingScale: gemmaEmbeddingScale,
      logitSoftcap,
      layer(layer, at) {
        const attention = layer.under('self_attn');
        const window = windows[at] ?? 0;
        return new SandwichLayer({
          norm: (name) => rmsNorm(layer, name, { size: hiddenSize, epsilon, offset: 1 }),
          attention: selfAttention(attention, config, {
            rotary: window > 0 ? rotary.sliding : rotary.full,
            bias,
            scale,
            window,
            norm: (name) => rmsNorm(attention, name, { size: headSize, epsilon, offset: 1 }),
          }),
          mlp: gatedMlp(layer.under('mlp'), config, { activation: 'gelu_pytorch_tanh' }),
        });
      },
    },
    weights,
  );
}

function textPart(config: ConfigReader): ConfigReader {
  if (config.modelType === 'gemma3_text') return config;
  return config.object('text_config') ?? config.fail('text_config', 'the config of the text part', undefined);
}

/** Of a model of text and images, which transformers 5 puts at a path of its own, the text part. */
function gemma3Config(config: ConfigReader): Gemma3Config {
  const part = textConfig(textPart(config));
  if (config.modelType === 'gemma3_text') return part;
  return {
    ...part,
    path: 'model.language_model',
    modelType: config.modelType,
    // transformers bounds the logits of the text models alone.
    logitSoftcap: 0,
    // transformers reads this flag at the top alone, whatever the text part says.
    tied: config.boolean('tie_word_embeddings', true),
    bosId: config.ids('bos_token_id', part.bosId)[0],
    eosIds: config.ids('eos_token_id', part.eosIds),
  };
}

/**
 * Checkpoints and adapters from before transformers 4.52 begin with the part's name; undefined for what belongs to the
 * images.
 */
function gemma3Path(stored: string): string | undefined {
  const path = stored
    .replace(/^language_model\.model\./, 'model.language_model.')
    .replace(/^language_model\.lm_head(?=\.|$)/, 'lm_head');
  return /^(model\.)?(vision_tower|multi_modal_projector)(\.|$)/.test(path) ? undefined : path;
}

/** Weights of images are left where they are. */
function gemma3Weights(file: SafetensorsFile): SafetensorsFile {
  return bodyNames(renamed(file, gemma3Path), { body: 'model', heads: ['lm_head'] });
}

const textKeys: KeyTable = {
  ...decoderKeys,
  ...layerRotaryKeys,
  rope_local_base_freq: followed('θ of layers with a window, where the parameters do not say'),
  hidden_activation: followed('gelu_pytorch_tanh; any other is refused'),
  attention_bias: followed('biases of q, k, v and o'),
  query_pre_attn_scalar: followed('scores are divided by its root'),
  final_logit_softcapping: followed('bound of the logits'),
  sliding_window: followed('tokens that a layer with a window sees'),
  layer_types: followed('whether each layer has a window'),
  use_bidirectional_attention: refused('true: every token would see all others'),
  hidden_act: ignored('transformers 5 reads hidden_activation'),
  sliding_window_pattern: followed('every which layer has no window, where layer_types is left out'),
  attn_logit_softcapping: ignored('transformers 5 does not look at it'),
};

const ofImages = ignored('the text part alone is taken');

/** GGUF files of it. The 27B model, of 62 layers, scales scores by the width over the heads; no key says so. */
const gemma3Base: GgufBase = {
  className: 'Gemma3ForCausalLM',
  normOffset: 1,
  rotaryTheta: 1_000_000,
  keys: ['final_logit_softcapping', 'attention.sliding_window', 'rope.freq_base_swa'],
  config({ number, optional, config }) {
    const softcap = optional('final_logit_softcapping');
    return {
      model_type: 'gemma3_text',
      rope_local_base_freq: number('rope.freq_base_swa', 10_000),
      sliding_window: number('attention.sliding_window', 1024),
      ...(softcap === undefined ? {} : { final_logit_softcapping: softcap }),
      query_pre_attn_scalar:
        config['num_hidden_layers'] === 62
          ? Number(config['hidden_size']) / Number(config['num_attention_heads'])
          : config['head_dim'],
    };
  },
};

export const gemma3 = defineFamily({
  name: 'Gemma 3',
  modelTypes: ['gemma3_text', 'gemma3'],
  models: 'Gemma 3; of the models with images the text part',
  features: 'norms on each head, a separate θ for layers with a window',
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'down_proj'],
  configKeys: {
    ...textKeys,
    text_config: followed('of the models with images, the config of the text part', {
      ...otherConfigKeys,
      attention_dropout: dropoutKey,
      ...textKeys,
    }),
    ...eachKey(
      [
        'vision_config',
        'mm_tokens_per_image',
        'image_token_index',
        'image_token_id',
        'boi_token_index',
        'boi_token_id',
        'eoi_token_index',
        'eoi_token_id',
      ],
      ofImages,
    ),
  },
  biasKeys: ['attention_bias'],
  llamaCpp: {
    architecture: 'gemma3',
    tensors: { ...decoderTensors, ...headNorms, ...gemmaNorms },
    tiesOutput: true,
    base: gemma3Base,
  },
  pathOf: gemma3Path,
  config: gemma3Config,
  part: textPart,
  model: gemma3Model,
  weights: gemma3Weights,
});
