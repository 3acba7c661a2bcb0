import { eachKey, followed, ignored } from '@lowrank/settings';
import type { ConfigReader } from '../config.js';
import { Encoder, layerNormOf } from '../encoder.js';
import { defineEncoder } from '../family.js';
import { bodyNames, renamed } from '../renamed.js';
import type { VisionConfig } from '../visionParts.js';
import { classTokenOf, imageHead, visionConfig, VisionEmbeddings, VisionLayer } from '../visionParts.js';
import type { WeightSource } from '../weights.js';

/** What ViT and DINOv2 share. */
export const visionKeys = {
  model_type: followed('the family'),
  ...eachKey(
    [
      'hidden_size',
      'num_hidden_layers',
      'num_attention_heads',
      'hidden_act',
      'layer_norm_eps',
      'image_size',
      'patch_size',
      'num_channels',
      'qkv_bias',
    ],
    followed('what it does in transformers'),
  ),
};

export const visionDropouts = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };

function vitConfig(config: ConfigReader): VisionConfig {
  return {
    ...visionConfig(config, { patchSize: 16, activation: 'gelu', normEpsilon: 1e-12, hasClassToken: true }),
    intermediateSize: config.integer('intermediate_size', 3072),
    attentionBias: config.boolean('qkv_bias', true),
  };
}

const layerNames = {
  attention: 'attention',
  q: 'q_proj',
  k: 'k_proj',
  v: 'v_proj',
  o: 'o_proj',
  norms: ['layernorm_before', 'layernorm_after'],
} as const;

function vitBody(config: VisionConfig, source: WeightSource): Encoder {
  const weights = source.under('vit');
  return new Encoder({
    shape: config,
    root: 'vit',
    tokens: 'embeddings.patch_embeddings.projection',
    embeddings: new VisionEmbeddings(config, weights.under('embeddings'), {
      patches: ['patch_embeddings', 'projection'],
      positions: 'parameter',
      keepsNative: true,
    }),
    path: [undefined, 'layers'],
    layers: Array.from(
      { length: config.layers },
      (_, at) => new VisionLayer(config, weights.under(`layers.${at}`), layerNames),
    ),
    others: {
      layernorm: layerNormOf(weights, 'layernorm', { size: config.hiddenSize, epsilon: config.normEpsilon }),
    },
    finish: (x, layer) => layer('layernorm').forward(x),
  });
}

/** transformers 4's names, which files have to this day, and transformers 5's, which adapters have. */
const names = [
  ['attention.attention.query', 'attention.q_proj'],
  ['attention.attention.key', 'attention.k_proj'],
  ['attention.attention.value', 'attention.v_proj'],
  ['attention.output.dense', 'attention.o_proj'],
  ['intermediate.dense', 'mlp.fc1'],
  ['output.dense', 'mlp.fc2'],
] as const;

const alone: Readonly<Record<string, string>> = { query: 'q_proj', key: 'k_proj', value: 'v_proj' };

/** A path of transformers 4, or a name among an adapter's targets, as transformers 5 has it. */
export function visionPath(stored: string): string {
  const [, before = '', layer, after = ''] = /^(.*?)encoder\.layer\.(\d+)\.(.*)$/.exec(stored) ?? [];
  if (layer === undefined) return (Object.hasOwn(alone, stored) ? alone[stored] : undefined) ?? stored;
  return `${before}layers.${layer}.${renamedPart(after, ([old, now]) => [old, now])}`;
}

/** A path of transformers 5 as its files have it. */
export function visionStored(path: string): string {
  const [, layer, after = ''] = /^vit\.layers\.(\d+)\.(.*)$/.exec(path) ?? [];
  if (layer === undefined) return path;
  return `vit.encoder.layer.${layer}.${renamedPart(after, ([old, now]) => [now, old])}`;
}

function renamedPart(
  part: string,
  ordered: (pair: (typeof names)[number]) => readonly [from: string, to: string],
): string {
  for (const pair of names) {
    const [from, to] = ordered(pair);
    if (part === from || part.startsWith(`${from}.`)) return `${to}${part.slice(from.length)}`;
  }
  return part;
}

/** ViT (Dosovitskiy et al. 2020, arXiv:2010.11929): a transformer over the patches of an image. */
export const vit = defineEncoder({
  name: 'ViT',
  modelTypes: ['vit'],
  models: 'ViT, DeiT-like checkpoints of its class, DINO',
  features: 'reads images: patches, a class token, learned positions, norms before each block',
  className: 'ViT',
  readsImages: true,
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['o_proj', 'fc2'],
  configKeys: {
    ...visionKeys,
    intermediate_size: followed('what it does in transformers'),
    ...eachKey(['pooler_output_size', 'pooler_act'], ignored('of a pooler that classifying does without')),
    encoder_stride: ignored('of masked image modelling'),
  },
  dropouts: visionDropouts,
  config: vitConfig,
  body: vitBody,
  head: imageHead(classTokenOf),
  pathOf: visionPath,
  storedName: visionStored,
  weights: (file) =>
    renamed(bodyNames(file, { body: 'vit', heads: ['classifier', 'decoder'] }), (name) =>
      name === 'vit.embeddings.mask_token' ? undefined : visionPath(name),
    ),
  unused: ['vit.pooler.'],
});
