import type { AttentionContext } from '@lowrank/nn';
import { Embedding, Module } from '@lowrank/nn';
import type { Layer } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, cast, full, tanh } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { activationOf } from './activation.js';
import type { ConfigReader } from './config.js';
import type { EncoderShape } from './encoder.js';
import { Encoder, EncoderAttention, layerNormOf } from './encoder.js';
import type { HeadMaker } from './head.js';
import { headLinear, linearHead, noHead } from './head.js';
import type { WeightSource } from './weights.js';

/** What BERT and RoBERTa share: their layers, under the same names. */
export interface BertConfig extends EncoderShape {
  readonly activation: (x: Tensor) => Tensor;
  /** The first row of the table of positions that a token uses. */
  readonly firstPosition: number;
}

export interface BertDefaults {
  readonly vocabularySize: number;
  readonly paddingId: number;
  /** RoBERTa leaves the rows up to its padding id unused: a document begins at the next. */
  readonly offsetsPositions: boolean;
}

/** The config of BERT's class, and of those that are made after it. */
export function bertConfig(config: ConfigReader, defaults: BertDefaults): BertConfig {
  const hiddenSize = config.integer('hidden_size', 768);
  const heads = config.integer('num_attention_heads', 12);
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of ${hiddenSize}`, heads);
  config.requireOff('is_decoder', 'add_cross_attention');
  config.oneOf('position_embedding_type', ['absolute'], 'absolute');
  const padding = config.ids('pad_token_id', defaults.paddingId)[0] ?? 0;
  const firstPosition = defaults.offsetsPositions ? padding + 1 : 0;
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', defaults.vocabularySize),
    hiddenSize,
    layers: config.layers('num_hidden_layers', 12),
    heads,
    keyHeads: heads,
    headSize: hiddenSize / heads,
    intermediateSize: config.integer('intermediate_size', 3072),
    maxPositions: config.integer('max_position_embeddings', 512) - firstPosition,
    typeVocabularySize: config.integer('type_vocab_size', 2),
    normEpsilon: config.number('layer_norm_eps', 1e-12),
    activation: activationOf(config, 'hidden_act', 'gelu'),
    firstPosition,
    bosId: config.ids('bos_token_id')[0],
    eosIds: config.ids('eos_token_id'),
  };
}

/** norm(token + type + position), each from a table. */
class BertEmbeddings extends Module {
  constructor(
    private readonly config: BertConfig,
    weights: WeightSource,
  ) {
    super();
    const { hiddenSize: size, vocabularySize, maxPositions, firstPosition, typeVocabularySize } = config;
    const table = (name: string, rows: number): Embedding =>
      this.child(name, new Embedding(weights.matrix(`${name}.weight`, [rows, size])));
    this.child('word_embeddings', weights.tokens('word_embeddings', [vocabularySize, size]));
    table('position_embeddings', maxPositions + firstPosition);
    table('token_type_embeddings', typeVocabularySize);
    this.child('LayerNorm', layerNormOf(weights, 'LayerNorm', { size, epsilon: config.normEpsilon }));
  }

  forward(ids: Tensor, { positions, types }: AttentionContext): Tensor {
    const { firstPosition } = this.config;
    const zeros = (): Tensor => cast(full(ids.shape, 0), 'i32');
    const places = firstPosition === 0 ? positions : cast(add(cast(positions, 'f32'), firstPosition), 'i32');
    const words = this.layer('word_embeddings').forward(ids);
    const kinds = this.layer('token_type_embeddings').forward(types ?? zeros());
    return this.layer('LayerNorm').forward(add(add(words, kinds), this.layer('position_embeddings').forward(places)));
  }
}

/** norm(dense(x) + residual) */
class BertOutput extends Module {
  constructor(weights: WeightSource, { hiddenSize, normEpsilon }: BertConfig, width: number) {
    super();
    this.child('dense', weights.linear('dense', [hiddenSize, width], { bias: true }));
    this.child('LayerNorm', layerNormOf(weights, 'LayerNorm', { size: hiddenSize, epsilon: normEpsilon }));
  }

  join(x: Tensor, residual: Tensor): Tensor {
    return this.layer('LayerNorm').forward(add(this.layer('dense').forward(x), residual));
  }
}

class BertAttention extends Module {
  private readonly own: EncoderAttention;
  private readonly output: BertOutput;

  constructor(config: BertConfig, weights: WeightSource) {
    super();
    const { hiddenSize: width, heads, headSize } = config;
    const below = weights.under('self');
    const linear = (name: string) => below.linear(name, [width, width], { bias: true });
    const names = { q: 'query', k: 'key', v: 'value' };
    this.own = this.child(
      'self',
      new EncoderAttention({ q: linear('query'), k: linear('key'), v: linear('value') }, names, { heads, headSize }),
    );
    this.output = this.child('output', new BertOutput(weights.under('output'), config, width));
  }

  forward(x: Tensor, context: AttentionContext): Tensor {
    const mixed = scope('self', () => this.own.forward(x, context));
    return scope('output', () => this.output.join(mixed, x));
  }
}

class BertIntermediate extends Module {
  constructor(
    private readonly config: BertConfig,
    weights: WeightSource,
  ) {
    super();
    this.child('dense', weights.linear('dense', [config.intermediateSize, config.hiddenSize], { bias: true }));
  }

  forward(x: Tensor): Tensor {
    return this.config.activation(this.layer('dense').forward(x));
  }
}

/** norm(x + attention(x)), then norm(y + mlp(y)): the first transformer's order (Vaswani et al. 2017). */
class BertLayer extends Module {
  private readonly attention: BertAttention;
  private readonly intermediate: BertIntermediate;
  private readonly output: BertOutput;

  constructor(config: BertConfig, weights: WeightSource) {
    super();
    this.attention = this.child('attention', new BertAttention(config, weights.under('attention')));
    this.intermediate = this.child('intermediate', new BertIntermediate(config, weights.under('intermediate')));
    this.output = this.child('output', new BertOutput(weights.under('output'), config, config.intermediateSize));
  }

  forward(x: Tensor, context: AttentionContext): Tensor {
    const middle = scope('attention', () => this.attention.forward(x, context));
    const wide = scope('intermediate', () => this.intermediate.forward(middle));
    return scope('output', () => this.output.join(wide, middle));
  }
}

/** tanh(dense(x)) of the first token's hidden state. */
class BertPooler extends Module implements Layer {
  constructor(weights: WeightSource, width: number) {
    super();
    this.child('dense', headLinear(weights, 'dense', [width, width]));
  }

  forward(x: Tensor): Tensor {
    return tanh(this.layer('dense').forward(x));
  }
}

/** The body of BERT and its like, below `root`; with the pooler where its head reads that. */
export function bertBody(
  config: BertConfig,
  source: WeightSource,
  { root, hasPooler = false }: { readonly root: string; readonly hasPooler?: boolean },
): Encoder {
  const weights = source.under(root);
  return new Encoder({
    shape: config,
    root,
    tokens: 'embeddings.word_embeddings',
    embeddings: new BertEmbeddings(config, weights.under('embeddings')),
    path: ['encoder', 'layer'],
    layers: Array.from(
      { length: config.layers },
      (_, at) => new BertLayer(config, weights.under(`encoder.layer.${at}`)),
    ),
    ...(hasPooler && { others: { pooler: new BertPooler(weights.under('pooler'), config.hiddenSize) } }),
  });
}

/** A linear layer on each token, for both ends of a span, or nothing: what BERT and its like have beside texts. */
export const tokenHeads: HeadMaker<unknown, Encoder> = (parts) => {
  const { kind } = parts.request;
  if (kind === 'embedding') return noHead;
  if (kind === 'sequence' || kind === 'image') return undefined;
  return linearHead(kind === 'span' ? 'qa_outputs' : 'classifier', parts, { reads: 'each' });
};
