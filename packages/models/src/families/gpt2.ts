import type { AttentionContext, LayerCache, LinearLike } from '@lowrank/nn';
import { AttentionBase, Embedding, LayerNorm, Mlp, Module, ModuleList, noisyEmbeddings } from '@lowrank/nn';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { add, reshape, slice } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { activationOf } from '../activation.js';
import type { ModelShape } from '../textModel.js';
import { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { modelKeys } from '../configKeys.js';
import { eachKey, followed, ignored, refused } from '@lowrank/settings';
import { defineFamily } from '../family.js';
import { bodyNames } from '../renamed.js';
import type { TokenTable, WeightSource } from '../weights.js';

/**
 * GPT-2 (Radford et al. 2019), as GPT2LMHeadModel names things: learned positions, norms before each block, layers
 * stored [in, out].
 */
interface Gpt2Config extends ModelShape {
  readonly intermediateSize: number;
  readonly normEpsilon: number;
  readonly tied: boolean;
  readonly activation: (x: Tensor) => Tensor;
  /** Factor on q·k of a layer, by its number. */
  readonly attentionScale: (layer: number) => number;
}

function gpt2Config(config: ConfigReader): Gpt2Config {
  // Other families' names for its sizes count first, as in transformers (`attribute_map`).
  const named = (key: string, usual: string): string => (config.has(usual) ? usual : key);
  const hiddenSize = config.integer(named('n_embd', 'hidden_size'), 768);
  const headsKey = named('n_head', 'num_attention_heads');
  const heads = config.integer(headsKey, 12);
  if (hiddenSize % heads !== 0) config.fail(headsKey, `a divisor of the hidden size (${hiddenSize})`, heads);
  if (config.boolean('add_cross_attention', false)) config.refuse('add_cross_attention', 'false');
  const byHead = config.boolean('scale_attn_weights', true) ? (hiddenSize / heads) ** -0.5 : 1;
  const byLayer = config.boolean('scale_attn_by_inverse_layer_idx', false);
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', 50257),
    hiddenSize,
    layers: config.layers(named('n_layer', 'num_hidden_layers'), 12),
    intermediateSize: config.integer('n_inner', 4 * hiddenSize),
    heads,
    keyHeads: heads,
    headSize: hiddenSize / heads,
    maxPositions: config.integer(named('n_positions', 'max_position_embeddings'), 1024),
    normEpsilon: config.number('layer_norm_epsilon', 1e-5),
    tied: config.boolean('tie_word_embeddings', true),
    activation: activationOf(config, 'activation_function', 'gelu_new'),
    attentionScale: (layer) => (byLayer ? byHead / (layer + 1) : byHead),
    bosId: config.ids('bos_token_id', 50_256)[0],
    eosIds: config.ids('eos_token_id', 50_256),
  };
}

/** With or without the word 'transformer', and with the causal masks that old checkpoints hold. */
function gpt2Weights(file: SafetensorsFile): SafetensorsFile {
  return bodyNames(file, {
    body: 'transformer',
    heads: ['lm_head'],
    isBuffer: (name) => /\.attn\.(masked_)?bias$/.test(name),
  });
}

class Gpt2Attention extends AttentionBase {
  constructor(
    layers: { readonly attn: LinearLike; readonly proj: LinearLike },
    private readonly sizes: { readonly heads: number; readonly headSize: number; readonly scale: number },
  ) {
    super();
    this.child('c_attn', layers.attn);
    this.child('c_proj', layers.proj);
  }

  /** x [B, T, width] → [B, T, width]; the columns of c_attn are q's, then k's, then v's. */
  forward(x: Tensor, context: AttentionContext, cache: LayerCache | undefined): Tensor {
    const { heads, headSize, scale } = this.sizes;
    const [batch = 0, length = 0] = x.shape;
    const width = heads * headSize;
    const qkv = this.layer('c_attn').forward(x);
    const part = (at: number): Tensor =>
      reshape(slice(qkv, 2, at * width, (at + 1) * width), [batch, length, heads, headSize]);
    const o = this.attend({ q: part(0), k: part(1), v: part(2) }, context, { cache, scale });
    return this.layer('c_proj').forward(reshape(o, [batch, length, width]));
  }
}

/** x + attention(norm(x)), then x + mlp(norm(x)). */
class Gpt2Block extends Module {
  private readonly attention: Gpt2Attention;

  constructor(config: Gpt2Config, weights: WeightSource, at: number) {
    super();
    const { hiddenSize, heads, headSize, intermediateSize, normEpsilon, activation, attentionScale } = config;
    const norm = (name: string): LayerNorm =>
      this.child(
        name,
        new LayerNorm(
          {
            weight: weights.vector(`${name}.weight`, [hiddenSize]),
            bias: weights.vector(`${name}.bias`, [hiddenSize]),
          },
          normEpsilon,
        ),
      );
    norm('ln_1');
    const layers = {
      attn: weights.conv1d('attn.c_attn', [hiddenSize, 3 * hiddenSize]),
      proj: weights.conv1d('attn.c_proj', [hiddenSize, hiddenSize]),
    };
    this.attention = this.child('attn', new Gpt2Attention(layers, { heads, headSize, scale: attentionScale(at) }));
    norm('ln_2');
    const [up, down] = [
      weights.conv1d('mlp.c_fc', [hiddenSize, intermediateSize]),
      weights.conv1d('mlp.c_proj', [intermediateSize, hiddenSize]),
    ];
    this.child('mlp', new Mlp({ up: ['c_fc', up], down: ['c_proj', down] }, activation));
  }

  forward(x: Tensor, context: AttentionContext, cache: LayerCache | undefined): Tensor {
    const normed = this.layer('ln_1').forward(x);
    const middle = scope('attn', () => add(x, this.attention.forward(normed, context, cache)));
    return add(middle, this.layer('mlp').forward(this.layer('ln_2').forward(middle)));
  }
}

class Gpt2Body extends Module {
  readonly tokens: TokenTable;
  private readonly blocks: ModuleList<Gpt2Block>;

  constructor(config: Gpt2Config, weights: WeightSource) {
    super();
    const { hiddenSize, vocabularySize, maxPositions } = config;
    this.tokens = this.child('wte', weights.tokens('wte', [vocabularySize, hiddenSize]));
    this.child('wpe', new Embedding(weights.matrix('wpe.weight', [maxPositions, hiddenSize])));
    this.blocks = this.child(
      'h',
      new ModuleList(
        Array.from({ length: config.layers }, (_, at) => new Gpt2Block(config, weights.under(`h.${at}`), at)),
      ),
    );
    this.child(
      'ln_f',
      new LayerNorm(
        { weight: weights.vector('ln_f.weight', [hiddenSize]), bias: weights.vector('ln_f.bias', [hiddenSize]) },
        config.normEpsilon,
      ),
    );
  }

  forward(ids: Tensor, context: AttentionContext, caches: readonly LayerCache[] | undefined): Tensor {
    const tokens = noisyEmbeddings(this.layer('wte').forward(ids), context.segments);
    const embedded = add(tokens, this.layer('wpe').forward(context.positions));
    const x = this.blocks.run('h', embedded, (block, input, at) => block.forward(input, context, caches?.[at]));
    return this.layer('ln_f').forward(x);
  }
}

class Gpt2 extends CausalModel {
  override readonly embeddingPath = 'transformer.wte';
  private readonly body: Gpt2Body;

  constructor(
    override readonly shape: Gpt2Config,
    weights: WeightSource,
  ) {
    super();
    this.body = this.child('transformer', new Gpt2Body(shape, weights.under('transformer')));
    this.child(
      'lm_head',
      weights.output('lm_head', [shape.vocabularySize, shape.hiddenSize], shape.tied ? this.body.tokens : undefined),
    );
  }

  hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor {
    return scope('transformer', () => this.body.forward(ids, context, caches));
  }
}

export const gpt2 = defineFamily({
  name: 'GPT-2',
  modelTypes: ['gpt2'],
  models: 'GPT-2, DistilGPT-2',
  features: 'learned positions, weights stored `[in, out]`',
  defaultTargets: ['c_attn'],
  residualWriters: ['attn.c_proj', 'mlp.c_proj'],
  configKeys: {
    ...modelKeys,
    ...eachKey(
      ['n_embd', 'n_layer', 'n_head', 'n_inner', 'n_positions', 'layer_norm_epsilon', 'activation_function'],
      followed('what it does in transformers'),
    ),
    ...eachKey(
      ['hidden_size', 'num_hidden_layers', 'num_attention_heads', 'max_position_embeddings'],
      followed('another name of a size, which counts first, as in transformers'),
    ),
    scale_attn_weights: followed('false: scores are not divided by the root of a head’s size'),
    scale_attn_by_inverse_layer_idx: followed('true: scores are divided by the number of the layer'),
    reorder_and_upcast_attn: ignored('how to compute in 16 bits: attention is in f32'),
    add_cross_attention: refused('true: there is no encoder'),
    n_ctx: ignored('an old copy of n_positions'),
    ...eachKey(
      ['summary_type', 'summary_use_proj', 'summary_activation', 'summary_proj_to_labels', 'summary_first_dropout'],
      ignored('of other tasks than writing text'),
    ),
  },
  dropouts: { attn_pdrop: 0.1, embd_pdrop: 0.1, resid_pdrop: 0.1 },
  config: gpt2Config,
  model: (config, weights) => new Gpt2(config, weights),
  weights: gpt2Weights,
});
