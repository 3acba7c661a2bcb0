import { eachKey, followed, ignored } from '@lowrank/settings';
import type { AttentionContext } from '@lowrank/nn';
import { Embedding, Mlp, Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, relu } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { activationOf } from '../activation.js';
import { tokenHeads } from '../bertParts.js';
import type { ConfigReader } from '../config.js';
import { modelKeys } from '../configKeys.js';
import type { EncoderShape } from '../encoder.js';
import { Encoder, EncoderAttention, layerNormOf } from '../encoder.js';
import { defineEncoder } from '../family.js';
import { headLinear } from '../head.js';
import { encoderNames } from '../renamed.js';
import type { WeightSource } from '../weights.js';

interface DistilbertConfig extends EncoderShape {
  readonly activation: (x: Tensor) => Tensor;
}

/** The class fixes it. */
const epsilon = 1e-12;

function distilbertConfig(config: ConfigReader): DistilbertConfig {
  // Other families' names for its sizes count first, as in transformers (`attribute_map`).
  const named = (key: string, usual: string): string => (config.has(usual) ? usual : key);
  const hiddenSize = config.integer(named('dim', 'hidden_size'), 768);
  const headsKey = named('n_heads', 'num_attention_heads');
  const heads = config.integer(headsKey, 12);
  if (hiddenSize % heads !== 0) config.fail(headsKey, `a divisor of ${hiddenSize}`, heads);
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', 30_522),
    hiddenSize,
    layers: config.layers(named('n_layers', 'num_hidden_layers'), 6),
    heads,
    keyHeads: heads,
    headSize: hiddenSize / heads,
    intermediateSize: config.integer('hidden_dim', 3072),
    maxPositions: config.integer('max_position_embeddings', 512),
    typeVocabularySize: 0,
    normEpsilon: epsilon,
    activation: activationOf(config, 'activation', 'gelu'),
    bosId: undefined,
    eosIds: [],
  };
}

/** norm(token + position) */
class DistilbertEmbeddings extends Module {
  constructor({ vocabularySize, maxPositions, hiddenSize: size }: DistilbertConfig, weights: WeightSource) {
    super();
    const table = (name: string, rows: number): Embedding =>
      this.child(name, new Embedding(weights.matrix(`${name}.weight`, [rows, size])));
    this.child('word_embeddings', weights.tokens('word_embeddings', [vocabularySize, size]));
    table('position_embeddings', maxPositions);
    this.child('LayerNorm', layerNormOf(weights, 'LayerNorm', { size, epsilon }));
  }

  forward(ids: Tensor, { positions }: AttentionContext): Tensor {
    const words = this.layer('word_embeddings').forward(ids);
    return this.layer('LayerNorm').forward(add(words, this.layer('position_embeddings').forward(positions)));
  }
}

/** norm(x + attention(x)), then norm(y + mlp(y)). */
class DistilbertLayer extends Module {
  private readonly attention: EncoderAttention;

  constructor(config: DistilbertConfig, weights: WeightSource) {
    super();
    const { hiddenSize: size, heads, headSize, intermediateSize, activation } = config;
    const below = weights.under('attention');
    const linear = (name: string) => below.linear(name, [size, size], { bias: true });
    const names = { q: 'q_lin', k: 'k_lin', v: 'v_lin', o: 'out_lin' };
    const layers = { q: linear('q_lin'), k: linear('k_lin'), v: linear('v_lin'), o: linear('out_lin') };
    this.attention = this.child('attention', new EncoderAttention(layers, names, { heads, headSize }));
    this.child('sa_layer_norm', layerNormOf(weights, 'sa_layer_norm', { size, epsilon }));
    const ffn = weights.under('ffn');
    const up = ffn.linear('lin1', [intermediateSize, size], { bias: true });
    const down = ffn.linear('lin2', [size, intermediateSize], { bias: true });
    this.child('ffn', new Mlp({ up: ['lin1', up], down: ['lin2', down] }, activation));
    this.child('output_layer_norm', layerNormOf(weights, 'output_layer_norm', { size, epsilon }));
  }

  forward(x: Tensor, context: AttentionContext): Tensor {
    const mixed = scope('attention', () => this.attention.forward(x, context));
    const middle = this.layer('sa_layer_norm').forward(add(mixed, x));
    return this.layer('output_layer_norm').forward(add(this.layer('ffn').forward(middle), middle));
  }
}

function distilbertBody(config: DistilbertConfig, source: WeightSource): Encoder {
  const weights = source.under('distilbert');
  return new Encoder({
    shape: config,
    root: 'distilbert',
    tokens: 'embeddings.word_embeddings',
    embeddings: new DistilbertEmbeddings(config, weights.under('embeddings')),
    path: ['transformer', 'layer'],
    layers: Array.from(
      { length: config.layers },
      (_, at) => new DistilbertLayer(config, weights.under(`transformer.layer.${at}`)),
    ),
  });
}

/** DistilBERT (Sanh et al. 2019): half of BERT's layers, no token types, no pooler. */
export const distilbert = defineEncoder({
  name: 'DistilBERT',
  modelTypes: ['distilbert'],
  models: 'DistilBERT',
  features: 'BERT without token types and pooler',
  className: 'DistilBert',
  defaultTargets: ['q_lin', 'v_lin'],
  residualWriters: ['attention.out_lin', 'ffn.lin2'],
  configKeys: {
    ...modelKeys,
    ...eachKey(
      ['dim', 'n_layers', 'n_heads', 'hidden_dim', 'max_position_embeddings', 'activation'],
      followed('what it does in transformers'),
    ),
    ...eachKey(
      ['hidden_size', 'num_hidden_layers', 'num_attention_heads'],
      followed('another name of a size, which counts first, as in transformers'),
    ),
    sinusoidal_pos_embds: ignored('how the table of positions began'),
  },
  dropouts: { dropout: 0.1, attention_dropout: 0.1, seq_classif_dropout: 0.2, qa_dropout: 0.1 },
  config: distilbertConfig,
  body: distilbertBody,
  head(parts) {
    const { weights, body, request } = parts;
    if (request.kind !== 'sequence') return tokenHeads(parts);
    const { hiddenSize: width } = body.shape;
    return {
      modules: {
        pre_classifier: headLinear(weights, 'pre_classifier', [width, width]),
        classifier: headLinear(weights, 'classifier', [request.labels, width]),
      },
      reads: 'first',
      forward: (rows, layer) => layer('classifier').forward(relu(layer('pre_classifier').forward(rows))),
    };
  },
  weights: (file) => encoderNames(file, 'distilbert', ['vocab_transform', 'vocab_layer_norm', 'vocab_projector']),
});
