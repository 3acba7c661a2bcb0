import { eachKey, followed, ignored } from '@lowrank/settings';
import type { Layer } from '@lowrank/nn';
import { LayerNorm, Linear, Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, attention, broadcastTo, linear, mean, reshape, slice } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { ConfigReader } from '../config.js';
import { Encoder, layerNormOf } from '../encoder.js';
import { defineEncoder } from '../family.js';
import { bodyNames } from '../renamed.js';
import type { VisionConfig } from '../visionParts.js';
import { imageHead, visionConfig, VisionEmbeddings, VisionLayer, visionMlp } from '../visionParts.js';
import type { WeightSource } from '../weights.js';

interface SiglipConfig extends VisionConfig {
  readonly hasHead: boolean;
}

function siglipConfig(config: ConfigReader): SiglipConfig {
  return {
    ...visionConfig(config, {
      patchSize: 16,
      activation: 'gelu_pytorch_tanh',
      normEpsilon: 1e-6,
      hasClassToken: false,
    }),
    intermediateSize: config.integer('intermediate_size', 3072),
    attentionBias: true,
    hasHead: config.boolean('vision_use_head', true),
  };
}

const layerNames = {
  attention: 'self_attn',
  q: 'q_proj',
  k: 'k_proj',
  v: 'v_proj',
  o: 'out_proj',
  norms: ['layer_norm1', 'layer_norm2'],
} as const;

/** torch.nn.MultiheadAttention with one query: its parameters, under its names. */
class ProbeAttention extends Module {
  private readonly weight: Parameter;
  private readonly bias: Parameter;

  constructor(
    private readonly config: SiglipConfig,
    weights: WeightSource,
  ) {
    super();
    const { hiddenSize: size } = config;
    this.weight = this.parameter('in_proj_weight', new Parameter(weights.vector('in_proj_weight', [3 * size, size])));
    this.bias = this.parameter('in_proj_bias', new Parameter(weights.vector('in_proj_bias', [3 * size])));
    const out = weights.under('out_proj');
    this.child('out_proj', new Linear(out.vector('weight', [size, size]), out.vector('bias', [size])));
  }

  /** probe [N, 1, D] over hidden states [N, T, D] → [N, 1, D] */
  forward(probe: Tensor, hidden: Tensor): Tensor {
    const { hiddenSize: size, heads, headSize } = this.config;
    const part = (x: Tensor, at: number): Tensor => {
      const weight = slice(this.weight.tensor, 0, at * size, (at + 1) * size);
      const bias = slice(this.bias.tensor, 0, at * size, (at + 1) * size);
      const [count = 0, length = 0] = x.shape;
      return reshape(add(linear(x, weight), bias), [count, length, heads, headSize]);
    };
    const mixed = attention(part(probe, 0), part(hidden, 1), part(hidden, 2), { causal: false });
    return this.layer('out_proj').forward(reshape(mixed, probe.shape));
  }
}

/**
 * One vector for an image, by attention from a learned probe: what SigLIP compares with texts. Classifying does without
 * it.
 */
class PoolingHead extends Module implements Layer {
  private readonly probe: Parameter;
  private readonly attention: ProbeAttention;

  constructor(config: SiglipConfig, weights: WeightSource) {
    super();
    const { hiddenSize: size, normEpsilon } = config;
    this.probe = this.parameter('probe', new Parameter(weights.vector('probe', [1, 1, size])));
    this.attention = this.child('attention', new ProbeAttention(config, weights.under('attention')));
    const norm = weights.under('layernorm');
    const vectors = { weight: norm.vector('weight', [size]), bias: norm.vector('bias', [size]) };
    this.child('layernorm', new LayerNorm(vectors, normEpsilon));
    this.child('mlp', visionMlp(config, weights.under('mlp')));
  }

  /** [N, T, D] → [N, D] */
  forward(hidden: Tensor): Tensor {
    const [count = 0, , width = 0] = hidden.shape;
    const probe = broadcastTo(this.probe.tensor, [count, 1, width]);
    const mixed = scope('attention', () => this.attention.forward(probe, hidden));
    const after = add(mixed, this.layer('mlp').forward(this.layer('layernorm').forward(mixed)));
    return reshape(after, [count, width]);
  }
}

function siglipBody(config: SiglipConfig, source: WeightSource): Encoder {
  const weights = source.under('vision_model');
  const { hiddenSize: size, normEpsilon: epsilon } = config;
  return new Encoder({
    shape: config,
    root: 'vision_model',
    tokens: 'embeddings.patch_embedding',
    embeddings: new VisionEmbeddings(config, weights.under('embeddings'), {
      patches: ['patch_embedding'],
      positions: 'module',
      keepsNative: true,
    }),
    path: ['encoder', 'layers'],
    layers: Array.from(
      { length: config.layers },
      (_, at) => new VisionLayer(config, weights.under(`encoder.layers.${at}`), layerNames),
    ),
    others: {
      post_layernorm: layerNormOf(weights, 'post_layernorm', { size, epsilon }),
      ...(config.hasHead && { head: new PoolingHead(config, weights.under('head')) }),
    },
    finish: (x, layer) => layer('post_layernorm').forward(x),
  });
}

const towerKeys = {
  ...eachKey(
    [
      'model_type',
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'num_channels',
      'image_size',
      'patch_size',
      'hidden_act',
      'layer_norm_eps',
      'vision_use_head',
    ],
    followed('what it does in transformers'),
  ),
  attention_dropout: ignored('0 in every published model'),
};

/**
 * The image tower of SigLIP (Zhai et al. 2023, arXiv:2303.15343): no class token, and a pooling head of attention. It
 * classifies by the mean of the patches.
 */
export const siglip = defineEncoder({
  name: 'SigLIP',
  modelTypes: ['siglip', 'siglip_vision_model'],
  models: 'SigLIP; of the models with texts the image tower',
  features: 'ViT without a class token, with a pooling head',
  className: 'Siglip',
  readsImages: true,
  defaultTargets: ['q_proj', 'v_proj'],
  residualWriters: ['self_attn.out_proj', 'mlp.fc2'],
  configKeys: {
    ...towerKeys,
    vision_config: followed('the config of the tower', towerKeys),
    text_config: ignored('the text tower has no part in classifying images'),
  },
  part: (reader) => reader.object('vision_config')?.over({ model_type: reader.modelType }) ?? reader,
  config: siglipConfig,
  body: siglipBody,
  head: imageHead((hidden) => mean(hidden, { axis: 1 })),
  weights: (file) => bodyNames(file, { body: 'vision_model', heads: ['classifier', 'text_model'] }),
  unused: ['text_model.', 'logit_scale', 'logit_bias'],
});
