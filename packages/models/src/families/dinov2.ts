import { eachKey, followed, ignored, refused } from '@lowrank/settings';
import { concat, mean, slice } from '@lowrank/tensor';
import type { ConfigReader } from '../config.js';
import { Encoder, layerNormOf } from '../encoder.js';
import { defineEncoder } from '../family.js';
import { bodyNames, renamed } from '../renamed.js';
import type { VisionConfig } from '../visionParts.js';
import { classTokenOf, imageHead, visionConfig, VisionEmbeddings, VisionLayer } from '../visionParts.js';
import type { WeightSource } from '../weights.js';
import { visionDropouts, visionKeys } from './vit.js';

interface Dinov2Config extends VisionConfig {
  readonly hasMaskToken: boolean;
}

function dinov2Config(config: ConfigReader): Dinov2Config {
  config.requireOff('use_swiglu_ffn');
  const shared = visionConfig(config, { patchSize: 14, activation: 'gelu', normEpsilon: 1e-6, hasClassToken: true });
  return {
    ...shared,
    intermediateSize: Math.floor(shared.hiddenSize * config.number('mlp_ratio', 4)),
    attentionBias: config.boolean('qkv_bias', true),
    hasMaskToken: config.boolean('use_mask_token', true),
  };
}

const layerNames = {
  attention: 'attention',
  q: 'q_proj',
  k: 'k_proj',
  v: 'v_proj',
  o: 'o_proj',
  norms: ['norm1', 'norm2'],
  scales: ['layer_scale1', 'layer_scale2'],
} as const;

function dinov2Body(config: Dinov2Config, source: WeightSource): Encoder {
  const weights = source.under('dinov2');
  const { hiddenSize: size, normEpsilon: epsilon } = config;
  return new Encoder({
    shape: config,
    root: 'dinov2',
    tokens: 'embeddings.patch_embeddings.projection',
    embeddings: new VisionEmbeddings(config, weights.under('embeddings'), {
      patches: ['patch_embeddings', 'projection'],
      positions: 'parameter',
      others: config.hasMaskToken ? { mask_token: [1, size] } : {},
      keepsNative: false,
    }),
    path: ['encoder', 'layer'],
    layers: Array.from(
      { length: config.layers },
      (_, at) => new VisionLayer(config, weights.under(`encoder.layer.${at}`), layerNames),
    ),
    others: { layernorm: layerNormOf(weights, 'layernorm', { size, epsilon }) },
    finish: (x, layer) => layer('layernorm').forward(x),
  });
}

/** transformers 4's names, which files have to this day, and transformers 5's. */
const names = [
  ['attention.attention.query', 'attention.q_proj'],
  ['attention.attention.key', 'attention.k_proj'],
  ['attention.attention.value', 'attention.v_proj'],
  ['attention.output.dense', 'attention.o_proj'],
] as const;

const alone: Readonly<Record<string, string>> = { query: 'q_proj', key: 'k_proj', value: 'v_proj' };

function dinov2Path(stored: string): string {
  const found = names.find(([old]) => stored.includes(`.${old}`));
  if (found !== undefined) return stored.replace(`.${found[0]}`, `.${found[1]}`);
  return (Object.hasOwn(alone, stored) ? alone[stored] : undefined) ?? stored;
}

function dinov2Stored(path: string): string {
  const found = names.find(([, now]) => path.includes(`.${now}`));
  return found === undefined ? path : path.replace(`.${found[1]}`, `.${found[0]}`);
}

/**
 * DINOv2 (Oquab et al. 2023, arXiv:2304.07193): ViT with factors on what each block adds, and positions for images of
 * any size. It classifies by the class token beside the mean of the patches.
 */
export const dinov2 = defineEncoder({
  name: 'DINOv2',
  modelTypes: ['dinov2'],
  models: 'DINOv2 small, base and large',
  features: 'ViT with layer scale and interpolated positions',
  className: 'Dinov2',
  readsImages: true,
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'fc2'],
  configKeys: {
    ...visionKeys,
    mlp_ratio: followed('what it does in transformers'),
    use_mask_token: followed('whether the file has one; classifying does without'),
    use_swiglu_ffn: refused('true: the feed-forward block of DINOv2 giant'),
    drop_path_rate: refused('above 0: not applied, of which training warns'),
    layerscale_value: ignored('how the factors began'),
    intermediate_size: ignored('mlp_ratio says it'),
    ...eachKey(
      ['apply_layernorm', 'reshape_hidden_states', 'out_features', 'out_indices', 'stage_names'],
      ignored('of a backbone for other models'),
    ),
  },
  dropouts: { ...visionDropouts, drop_path_rate: 0 },
  config: dinov2Config,
  body: dinov2Body,
  head: imageHead((hidden) => {
    const [, length = 0] = hidden.shape;
    return concat([classTokenOf(hidden), mean(slice(hidden, 1, 1, length), { axis: 1 })], 1);
  }, 2),
  pathOf: dinov2Path,
  storedName: dinov2Stored,
  weights: (file) => renamed(bodyNames(file, { body: 'dinov2', heads: ['classifier'] }), dinov2Path),
});
