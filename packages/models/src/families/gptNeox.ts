import type { AttentionContext, LayerCache, LinearLike, RotaryOptions } from '@lowrank/nn';
import { AttentionBase, LayerNorm, Mlp, Module, ModuleList, noisyEmbeddings, RotaryTable } from '@lowrank/nn';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Tensor } from '@lowrank/tensor';
import { add, reshape, slice } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { activationOf } from '../activation.js';
import type { ModelShape } from '../textModel.js';
import { CausalModel } from '../causalModel.js';
import type { ConfigReader } from '../config.js';
import { modelKeys, rotaryKeys } from '../configKeys.js';
import { eachKey, followed, ignored } from '@lowrank/settings';
import { bodyNames, renamed } from '../renamed.js';
import { defineFamily } from '../family.js';
import { rotaryOptions } from '../rotaryConfig.js';
import type { TokenTable, WeightSource } from '../weights.js';

/**
 * GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023), as GPTNeoXForCausalLM names things: rotary positions
 * on a part of each head, attention and MLP side by side.
 */
interface GptNeoxConfig extends ModelShape {
  readonly intermediateSize: number;
  readonly normEpsilon: number;
  readonly tied: boolean;
  readonly activation: (x: Tensor) => Tensor;
  readonly attentionBias: boolean;
  readonly parallelResidual: boolean;
  readonly rotary: RotaryOptions;
}

function gptNeoxConfig(config: ConfigReader): GptNeoxConfig {
  const hiddenSize = config.integer('hidden_size', 6144);
  const heads = config.integer('num_attention_heads', 64);
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of hidden_size (${hiddenSize})`, heads);
  const headSize = hiddenSize / heads;
  const rotary = rotaryOptions(config, {
    headSize,
    maxPositions: config.integer('max_position_embeddings', 2048),
    thetaKey: 'rotary_emb_base',
    partial: true,
    share: 0.25,
    shareKey: 'rotary_pct',
  });
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size', 50432),
    hiddenSize,
    layers: config.layers('num_hidden_layers', 44),
    intermediateSize: config.integer('intermediate_size', 24576),
    heads,
    keyHeads: heads,
    headSize,
    maxPositions: rotary.maxPositions,
    normEpsilon: config.number('layer_norm_eps', 1e-5),
    tied: config.boolean('tie_word_embeddings', false),
    activation: activationOf(config, 'hidden_act', 'gelu'),
    attentionBias: config.boolean('attention_bias', true),
    parallelResidual: config.boolean('use_parallel_residual', true),
    rotary,
    bosId: config.ids('bos_token_id', 0)[0],
    eosIds: config.ids('eos_token_id', 2),
  };
}

/**
 * With or without the word 'gpt_neox', with the tables and masks that old checkpoints hold, and with the output
 * projection under transformers 5's name for it.
 */
function gptNeoxWeights(file: SafetensorsFile): SafetensorsFile {
  const body = bodyNames(file, {
    body: 'gpt_neox',
    heads: ['embed_out', 'lm_head'],
    isBuffer: (name) => /\.attention\.(masked_)?bias$|\.rotary_emb\.inv_freq$/.test(name),
  });
  return renamed(body, (name) => name.replace(/^lm_head\./, 'embed_out.'));
}

class GptNeoxAttention extends AttentionBase {
  constructor(
    layers: { readonly qkv: LinearLike; readonly dense: LinearLike },
    private readonly options: { readonly heads: number; readonly headSize: number; readonly rotary: RotaryTable },
  ) {
    super();
    this.child('query_key_value', layers.qkv);
    this.child('dense', layers.dense);
  }

  /** x [B, T, width] → [B, T, width]; the rows of query_key_value are, head by head, q's, k's and v's. */
  forward(x: Tensor, context: AttentionContext, cache: LayerCache | undefined): Tensor {
    const { heads, headSize, rotary } = this.options;
    const [batch = 0, length = 0] = x.shape;
    const qkv = reshape(this.layer('query_key_value').forward(x), [batch, length, heads, 3 * headSize]);
    const part = (at: number): Tensor => slice(qkv, 3, at * headSize, (at + 1) * headSize);
    const reach = { length: cache?.keys.shape[1] ?? length, segments: context.segments };
    const turned = (t: Tensor): Tensor => rotary.apply(t, context.positions, reach);
    const o = this.attend({ q: turned(part(0)), k: turned(part(1)), v: part(2) }, context, { cache });
    return this.layer('dense').forward(reshape(o, [batch, length, heads * headSize]));
  }
}

class GptNeoxLayer extends Module {
  private readonly attention: GptNeoxAttention;
  private readonly parallel: boolean;

  constructor(config: GptNeoxConfig, weights: WeightSource, rotary: RotaryTable) {
    super();
    const { hiddenSize, heads, headSize, intermediateSize, normEpsilon, activation, attentionBias } = config;
    this.parallel = config.parallelResidual;
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
    norm('input_layernorm');
    norm('post_attention_layernorm');
    const project = (name: string, shape: readonly [number, number], bias: boolean): LinearLike =>
      weights.linear(name, shape, { bias });
    const layers = {
      qkv: project('attention.query_key_value', [3 * hiddenSize, hiddenSize], attentionBias),
      dense: project('attention.dense', [hiddenSize, hiddenSize], attentionBias),
    };
    this.attention = this.child('attention', new GptNeoxAttention(layers, { heads, headSize, rotary }));
    const [up, down] = [
      project('mlp.dense_h_to_4h', [intermediateSize, hiddenSize], true),
      project('mlp.dense_4h_to_h', [hiddenSize, intermediateSize], true),
    ];
    this.child('mlp', new Mlp({ up: ['dense_h_to_4h', up], down: ['dense_4h_to_h', down] }, activation));
  }

  /** x + attention(norm(x)) + mlp(norm'(x)); or, not in parallel, the MLP reads what attention has added to. */
  forward(x: Tensor, context: AttentionContext, cache: LayerCache | undefined): Tensor {
    const normed = this.layer('input_layernorm').forward(x);
    const middle = scope('attention', () => add(x, this.attention.forward(normed, context, cache)));
    const read = this.layer('post_attention_layernorm').forward(this.parallel ? x : middle);
    return add(middle, this.layer('mlp').forward(read));
  }
}

class GptNeoxBody extends Module {
  readonly tokens: TokenTable;
  private readonly layers: ModuleList<GptNeoxLayer>;

  constructor(config: GptNeoxConfig, weights: WeightSource, rotary: RotaryTable) {
    super();
    const { hiddenSize, vocabularySize } = config;
    this.tokens = this.child('embed_in', weights.tokens('embed_in', [vocabularySize, hiddenSize]));
    this.layers = this.child(
      'layers',
      new ModuleList(
        Array.from(
          { length: config.layers },
          (_, at) => new GptNeoxLayer(config, weights.under(`layers.${at}`), rotary),
        ),
      ),
    );
    this.child(
      'final_layer_norm',
      new LayerNorm(
        {
          weight: weights.vector('final_layer_norm.weight', [hiddenSize]),
          bias: weights.vector('final_layer_norm.bias', [hiddenSize]),
        },
        config.normEpsilon,
      ),
    );
  }

  forward(ids: Tensor, context: AttentionContext, caches: readonly LayerCache[] | undefined): Tensor {
    const embedded = noisyEmbeddings(this.layer('embed_in').forward(ids), context.segments);
    const x = this.layers.run('layers', embedded, (layer, input, at) => layer.forward(input, context, caches?.[at]));
    return this.layer('final_layer_norm').forward(x);
  }
}

class GptNeox extends CausalModel {
  override readonly embeddingPath = 'gpt_neox.embed_in';
  override readonly outputPath = 'embed_out';
  private readonly body: GptNeoxBody;
  private readonly rotary: RotaryTable;

  constructor(
    override readonly shape: GptNeoxConfig,
    weights: WeightSource,
  ) {
    super();
    this.rotary = new RotaryTable(shape.rotary);
    this.body = this.child('gpt_neox', new GptNeoxBody(shape, weights.under('gpt_neox'), this.rotary));
    this.child(
      'embed_out',
      weights.output('embed_out', [shape.vocabularySize, shape.hiddenSize], shape.tied ? this.body.tokens : undefined),
    );
  }

  hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor {
    return scope('gpt_neox', () => this.body.forward(ids, context, caches));
  }

  override dispose(): void {
    super.dispose();
    this.rotary.dispose();
  }
}

export const gptNeox = defineFamily({
  name: 'GPT-NeoX',
  modelTypes: ['gpt_neox'],
  models: 'GPT-NeoX, Pythia',
  features: 'attention and block side by side, a part of each head turns',
  defaultTargets: ['query_key_value'],
  residualWriters: ['attention.dense', 'mlp.dense_4h_to_h'],
  configKeys: {
    ...modelKeys,
    ...eachKey(
      [
        'hidden_size',
        'intermediate_size',
        'num_hidden_layers',
        'num_attention_heads',
        'max_position_embeddings',
        'layer_norm_eps',
        'hidden_act',
      ],
      followed('what it does in transformers'),
    ),
    rope_scaling: rotaryKeys.rope_scaling,
    rope_parameters: rotaryKeys.rope_parameters,
    original_max_position_embeddings: rotaryKeys.original_max_position_embeddings,
    rotary_pct: followed('the share of each head that turns, where the parameters do not say'),
    rotary_emb_base: followed('θ, where the parameters do not say'),
    ...eachKey(['rope_theta', 'partial_rotary_factor'], ignored('transformers has other names for it here')),
    attention_bias: followed('biases of query_key_value and dense'),
    use_parallel_residual: followed('whether attention and block stand side by side'),
  },
  dropouts: { attention_dropout: 0, hidden_dropout: 0 },
  biasKeys: ['attention_bias'],
  config: gptNeoxConfig,
  model: (config, weights) => new GptNeox(config, weights),
  weights: gptNeoxWeights,
});
