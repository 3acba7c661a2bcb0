import { eachKey, followed, ignored, refused } from '@lowrank/settings';
import type { AttentionContext, Layer, LayerNorm } from '@lowrank/nn';
import { AttentionBase, Module, RotaryTable } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, mul, reshape, slice } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { activationOf } from '../activation.js';
import type { ConfigReader } from '../config.js';
import { layerRotaryKeys, modelKeys } from '../configKeys.js';
import type { EncoderShape } from '../encoder.js';
import { Encoder, layerNormOf } from '../encoder.js';
import { defineEncoder } from '../family.js';
import { headLinear, noHead } from '../head.js';
import { bodyNames } from '../renamed.js';
import type { RotaryByLayerType } from '../rotaryConfig.js';
import { rotaryByLayerType } from '../rotaryConfig.js';
import { layerWindows } from '../transformerConfig.js';
import type { WeightSource } from '../weights.js';

interface ModernbertConfig extends EncoderShape {
  readonly activation: (x: Tensor) => Tensor;
  readonly classifierActivation: (x: Tensor) => Tensor;
  readonly normBias: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly classifierBias: boolean;
  readonly pooling: 'cls' | 'mean';
  readonly rotary: RotaryByLayerType;
  /** Of each layer, on both sides of a token, its own position included; 0 for none. */
  readonly windows: readonly number[];
}

function modernbertConfig(config: ConfigReader): ModernbertConfig {
  const hiddenSize = config.integer('hidden_size', 768);
  const heads = config.integer('num_attention_heads', 12);
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of ${hiddenSize}`, heads);
  const layers = config.layers('num_hidden_layers', 22);
  const maxPositions = config.integer('max_position_embeddings', 8192);
  const every = config.integer('global_attn_every_n_layers', 3);
  const positions = { headSize: hiddenSize / heads, maxPositions };
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', 50_368),
    hiddenSize,
    layers,
    heads,
    keyHeads: heads,
    headSize: hiddenSize / heads,
    intermediateSize: config.integer('intermediate_size', 1152),
    maxPositions,
    typeVocabularySize: 0,
    normEpsilon: config.number('norm_eps', 1e-5),
    activation: activationOf(config, 'hidden_activation', 'gelu'),
    classifierActivation: activationOf(config, 'classifier_activation', 'gelu'),
    normBias: config.boolean('norm_bias', false),
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
    classifierBias: config.boolean('classifier_bias', false),
    pooling: config.oneOf('classifier_pooling', ['cls', 'mean'], 'cls'),
    rotary: rotaryByLayerType(config, {
      full: { ...positions, theta: 160_000, thetaKey: 'global_rope_theta' },
      sliding: { ...positions, theta: 10_000, thetaKey: 'local_rope_theta' },
    }),
    windows: layerWindows(config, {
      layers,
      // Half of it lies on each side, both ends included.
      window: Math.floor(config.integer('local_attention', 128) / 2) + 1,
      sliding: (at) => at % every !== 0,
    }),
    bosId: config.ids('bos_token_id', 50_281)[0],
    eosIds: config.ids('eos_token_id', 50_282),
  };
}

function normOf(config: ModernbertConfig, weights: WeightSource, name: string): LayerNorm {
  const { hiddenSize: size, normEpsilon: epsilon, normBias: bias } = config;
  return layerNormOf(weights, name, { size, epsilon, bias });
}

class ModernbertEmbeddings extends Module {
  constructor(config: ModernbertConfig, weights: WeightSource) {
    super();
    const { vocabularySize, hiddenSize } = config;
    this.child('tok_embeddings', weights.tokens('tok_embeddings', [vocabularySize, hiddenSize]));
    this.child('norm', normOf(config, weights, 'norm'));
  }

  forward(ids: Tensor): Tensor {
    return this.layer('norm').forward(this.layer('tok_embeddings').forward(ids));
  }
}

/** Rotary attention both ways, with one projection for q, k and v, within a window or not. */
class ModernbertAttention extends AttentionBase {
  constructor(
    private readonly config: ModernbertConfig,
    weights: WeightSource,
    private readonly reach: { readonly window: number; readonly rotary: RotaryTable },
  ) {
    super();
    const { hiddenSize: width, attentionBias: bias } = config;
    this.child('Wqkv', weights.linear('Wqkv', [3 * width, width], { bias }));
    this.child('Wo', weights.linear('Wo', [width, width], { bias }));
  }

  forward(x: Tensor, context: AttentionContext): Tensor {
    const { heads, headSize, hiddenSize: width } = this.config;
    const { window, rotary } = this.reach;
    const [batch = 0, length = 0] = x.shape;
    const qkv = this.layer('Wqkv').forward(x);
    const part = (at: number): Tensor =>
      reshape(slice(qkv, 2, at * width, (at + 1) * width), [batch, length, heads, headSize]);
    const turned = (t: Tensor): Tensor => rotary.apply(t, context.positions, { length, segments: context.segments });
    const heard = { q: turned(part(0)), k: turned(part(1)), v: part(2) };
    const o = this.attend(heard, context, { cache: undefined, causal: false, window });
    return this.layer('Wo').forward(reshape(o, [batch, length, width]));
  }
}

/** Wo(f(a) · b), a and b the halves of Wi(x). */
class ModernbertMlp extends Module implements Layer {
  constructor(
    private readonly config: ModernbertConfig,
    weights: WeightSource,
  ) {
    super();
    const { hiddenSize, intermediateSize, mlpBias: bias } = config;
    this.child('Wi', weights.linear('Wi', [2 * intermediateSize, hiddenSize], { bias }));
    this.child('Wo', weights.linear('Wo', [hiddenSize, intermediateSize], { bias }));
  }

  forward(x: Tensor): Tensor {
    const { intermediateSize: width, activation } = this.config;
    const both = this.layer('Wi').forward(x);
    const gated = mul(activation(slice(both, 2, 0, width)), slice(both, 2, width, 2 * width));
    return this.layer('Wo').forward(gated);
  }
}

/** x + attention(norm(x)), then x + mlp(norm(x)); the first layer has no norm before its attention. */
class ModernbertLayer extends Module {
  private readonly attention: ModernbertAttention;
  private readonly hasNorm: boolean;

  constructor(
    config: ModernbertConfig,
    weights: WeightSource,
    { at, ...reach }: { readonly at: number; readonly window: number; readonly rotary: RotaryTable },
  ) {
    super();
    this.hasNorm = at > 0;
    if (this.hasNorm) this.child('attn_norm', normOf(config, weights, 'attn_norm'));
    this.attention = this.child('attn', new ModernbertAttention(config, weights.under('attn'), reach));
    this.child('mlp_norm', normOf(config, weights, 'mlp_norm'));
    this.child('mlp', new ModernbertMlp(config, weights.under('mlp')));
  }

  forward(x: Tensor, context: AttentionContext): Tensor {
    const normed = this.hasNorm ? this.layer('attn_norm').forward(x) : x;
    const middle = add(
      x,
      scope('attn', () => this.attention.forward(normed, context)),
    );
    return add(middle, this.layer('mlp').forward(this.layer('mlp_norm').forward(middle)));
  }
}

/** norm(f(dense(x))): what stands before every classifier. */
class ModernbertHead extends Module implements Layer {
  constructor(
    private readonly config: ModernbertConfig,
    weights: WeightSource,
  ) {
    super();
    const { hiddenSize: width, classifierBias: bias } = config;
    this.child('dense', headLinear(weights, 'dense', [width, width], { bias }));
    this.child('norm', normOf(config, weights, 'norm'));
  }

  forward(x: Tensor): Tensor {
    return this.layer('norm').forward(this.config.classifierActivation(this.layer('dense').forward(x)));
  }
}

function modernbertBody(config: ModernbertConfig, source: WeightSource): Encoder {
  const weights = source.under('model');
  const [full, sliding] = [new RotaryTable(config.rotary.full), new RotaryTable(config.rotary.sliding)];
  return new Encoder({
    shape: config,
    root: 'model',
    tokens: 'embeddings.tok_embeddings',
    embeddings: new ModernbertEmbeddings(config, weights.under('embeddings')),
    path: [undefined, 'layers'],
    layers: config.windows.map((window, at) => {
      const rotary = window > 0 ? sliding : full;
      return new ModernbertLayer(config, weights.under(`layers.${at}`), { at, window, rotary });
    }),
    others: { final_norm: normOf(config, weights, 'final_norm') },
    finish: (x, layer) => layer('final_norm').forward(x),
    held: [full, sliding],
  });
}

/** ModernBERT (Warner et al. 2024): rotary positions, a window on two of three layers, gated MLPs, norms before. */
export const modernbert = defineEncoder({
  name: 'ModernBERT',
  modelTypes: ['modernbert'],
  models: 'ModernBERT',
  features: 'reads both ways, rotary positions, a window on both sides in two of three layers, gated MLPs',
  className: 'ModernBert',
  defaultTargets: ['Wqkv'],
  residualWriters: ['attn.Wo', 'mlp.Wo'],
  configKeys: {
    ...modelKeys,
    ...layerRotaryKeys,
    ...eachKey(
      [
        'hidden_size',
        'num_hidden_layers',
        'num_attention_heads',
        'intermediate_size',
        'max_position_embeddings',
        'norm_eps',
        'norm_bias',
        'attention_bias',
        'mlp_bias',
        'classifier_bias',
        'classifier_activation',
        'classifier_pooling',
        'hidden_activation',
        'local_attention',
        'layer_types',
        'global_attn_every_n_layers',
        'global_rope_theta',
        'local_rope_theta',
      ],
      followed('what it does in transformers'),
    ),
    position_embedding_type: refused('what ModernBERT does not have'),
    ...eachKey(
      ['decoder_bias', 'sparse_prediction', 'sparse_pred_ignore_index', 'cls_token_id', 'initializer_cutoff_factor'],
      ignored('of guessing masked words, or of the beginning of weights'),
    ),
    ...eachKey(
      ['deterministic_flash_attn', 'reference_compile', 'repad_logits_with_grad', 'layer_norm_eps'],
      ignored('how other libraries compute'),
    ),
  },
  dropouts: { attention_dropout: 0, embedding_dropout: 0, mlp_dropout: 0, classifier_dropout: 0 },
  config: modernbertConfig,
  body: modernbertBody,
  head({ config, weights, body, request }) {
    if (request.kind === 'embedding') return noHead;
    if (request.kind === 'image') return undefined;
    return {
      modules: {
        head: new ModernbertHead(config, weights.under('head')),
        classifier: headLinear(weights, 'classifier', [request.labels, body.shape.hiddenSize]),
      },
      reads: request.kind !== 'sequence' ? 'each' : config.pooling === 'mean' ? 'mean' : 'first',
      forward: (rows, layer) => layer('classifier').forward(layer('head').forward(rows)),
    };
  },
  weights: (file) => bodyNames(file, { body: 'model', heads: ['head', 'classifier', 'decoder'] }),
});
