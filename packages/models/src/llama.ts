import type { AttentionContext, LayerCache, LinearLike, RotaryOptions } from '@lowrank/nn';
import { Attention, Embedding, Linear, Module, ModuleList, RmsNorm, RotaryTable, SwigluMlp } from '@lowrank/nn';
import type { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, scope } from '@lowrank/tensor';
import type { ModelShape } from './causalModel.js';
import { CausalModel } from './causalModel.js';
import type { ConfigReader } from './config.js';
import type { WeightSource } from './weights.js';

/** Llama 1 to 3.3 (Touvron et al. 2023; Grattafiori et al. 2024), as LlamaForCausalLM names things. */
export interface LlamaConfig extends ModelShape {
  readonly intermediateSize: number;
  readonly heads: number;
  readonly normEpsilon: number;
  readonly rotary: RotaryOptions;
  readonly tied: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
}

export function llamaConfig(config: ConfigReader): LlamaConfig {
  const hiddenSize = config.integer('hidden_size');
  const heads = config.integer('num_attention_heads');
  const keyHeads = config.integer('num_key_value_heads', heads);
  const headSize = config.integer('head_dim', hiddenSize / heads);
  const maxPositions = config.integer('max_position_embeddings', 2048);
  if (config.string('hidden_act', 'silu') !== 'silu') config.refuse('hidden_act', '"silu"');
  if (config.has('sliding_window')) config.refuse('sliding_window', 'none');
  if (config.has('pretraining_tp') && config.integer('pretraining_tp') !== 1) config.refuse('pretraining_tp', '1');
  if (heads % keyHeads !== 0) config.fail('num_key_value_heads', `a divisor of the ${heads} attention heads`, keyHeads);
  if (headSize % 2 !== 0) config.fail('head_dim', 'an even number', headSize);
  return {
    modelType: config.modelType,
    vocabularySize: config.integer('vocab_size'),
    hiddenSize,
    layers: config.integer('num_hidden_layers'),
    intermediateSize: config.integer('intermediate_size'),
    heads,
    keyHeads,
    headSize,
    maxPositions,
    normEpsilon: config.number('rms_norm_eps', 1e-6),
    rotary: rotaryOptions(config, headSize, maxPositions),
    tied: config.boolean('tie_word_embeddings', false),
    attentionBias: config.boolean('attention_bias', false),
    mlpBias: config.boolean('mlp_bias', false),
    bosId: config.ids('bos_token_id')[0],
    eosIds: config.ids('eos_token_id'),
  };
}

/** Both spellings: `rope_theta` beside `rope_scaling` (transformers 4), and `rope_parameters` with both (transformers 5). */
function rotaryOptions(config: ConfigReader, size: number, maxPositions: number): RotaryOptions {
  const parameters = config.object('rope_parameters') ?? config.object('rope_scaling');
  const theta = parameters?.has('rope_theta') === true ? parameters.number('rope_theta') : config.number('rope_theta', 10_000);
  if (config.has('partial_rotary_factor') && config.number('partial_rotary_factor') !== 1) config.refuse('partial_rotary_factor', '1');
  const base = { size, theta, maxPositions };
  const typeKey = parameters?.has('rope_type') === true ? 'rope_type' : 'type';
  const type = parameters?.string(typeKey, 'default') ?? 'default';
  if (parameters === undefined || type === 'default') return base;
  if (type !== 'llama3' && type !== 'linear') return parameters.refuse(typeKey, '"default", "linear" or "llama3"');
  const factor = parameters.number('factor');
  if (type === 'linear') return { ...base, scaling: { type, factor } };
  return {
    ...base,
    scaling: {
      type,
      factor,
      lowFrequencyFactor: parameters.number('low_freq_factor'),
      highFrequencyFactor: parameters.number('high_freq_factor'),
      originalMaxPositions: parameters.integer('original_max_position_embeddings'),
    },
  };
}

/** x + attention(norm(x)), then x + mlp(norm(x)). */
class LlamaLayer extends Module {
  private readonly inputNorm: RmsNorm;
  private readonly attention: Attention;
  private readonly outputNorm: RmsNorm;
  private readonly mlp: SwigluMlp;

  constructor(config: LlamaConfig, weights: WeightSource, rotary: RotaryTable) {
    super();
    const { hiddenSize, heads, keyHeads, headSize, intermediateSize, normEpsilon, attentionBias, mlpBias } = config;
    const project = (name: string, shape: readonly [number, number], bias: boolean): LinearLike => weights.linear(name, shape, { bias });
    const norm = (name: string): RmsNorm => new RmsNorm(weights.vector(`${name}.weight`, [hiddenSize]), normEpsilon);
    this.inputNorm = this.child('input_layernorm', norm('input_layernorm'));
    this.attention = this.child(
      'self_attn',
      new Attention(
        {
          q: project('self_attn.q_proj', [heads * headSize, hiddenSize], attentionBias),
          k: project('self_attn.k_proj', [keyHeads * headSize, hiddenSize], attentionBias),
          v: project('self_attn.v_proj', [keyHeads * headSize, hiddenSize], attentionBias),
          o: project('self_attn.o_proj', [hiddenSize, heads * headSize], attentionBias),
        },
        { heads, keyHeads, headSize, rotary },
      ),
    );
    this.outputNorm = this.child('post_attention_layernorm', norm('post_attention_layernorm'));
    this.mlp = this.child(
      'mlp',
      new SwigluMlp({
        gate: project('mlp.gate_proj', [intermediateSize, hiddenSize], mlpBias),
        up: project('mlp.up_proj', [intermediateSize, hiddenSize], mlpBias),
        down: project('mlp.down_proj', [hiddenSize, intermediateSize], mlpBias),
      }),
    );
  }

  forward(x: Tensor, context: AttentionContext, cache: LayerCache | undefined): Tensor {
    const normed = scope('input_layernorm', () => this.inputNorm.forward(x));
    const middle = scope('self_attn', () => add(x, this.attention.forward(normed, context, cache)));
    const normedMiddle = scope('post_attention_layernorm', () => this.outputNorm.forward(middle));
    return scope('mlp', () => add(middle, this.mlp.forward(normedMiddle)));
  }
}

class LlamaBody extends Module {
  readonly embedTokens: Embedding;
  readonly norm: RmsNorm;
  readonly layers: ModuleList<LlamaLayer>;

  constructor(config: LlamaConfig, weights: WeightSource, rotary: RotaryTable) {
    super();
    this.embedTokens = this.child('embed_tokens', new Embedding(weights.matrix('embed_tokens.weight', [config.vocabularySize, config.hiddenSize])));
    const layers = Array.from({ length: config.layers }, (_, at) => new LlamaLayer(config, weights.under(`layers.${at}`), rotary));
    this.layers = this.child('layers', new ModuleList(layers));
    this.norm = this.child('norm', new RmsNorm(weights.vector('norm.weight', [config.hiddenSize]), config.normEpsilon));
  }
}

export class Llama extends CausalModel {
  private readonly model: LlamaBody;
  private readonly head: Linear | undefined;
  private readonly rotary: RotaryTable;

  constructor(
    override readonly shape: LlamaConfig,
    weights: WeightSource,
  ) {
    super();
    this.rotary = new RotaryTable(shape.rotary);
    this.model = this.child('model', new LlamaBody(shape, weights.under('model'), this.rotary));
    this.head = shape.tied ? undefined : this.child('lm_head', new Linear(weights.matrix('lm_head.weight', [shape.vocabularySize, shape.hiddenSize])));
  }

  hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor {
    const { embedTokens, layers, norm } = this.model;
    return scope('model', () => {
      const embedded = scope('embed_tokens', () => embedTokens.forward(ids));
      const x = layers.run('layers', embedded, (layer, input, at) => layer.forward(input, context, caches?.[at]));
      return scope('norm', () => norm.forward(x));
    });
  }

  protected outputWeight(): Parameter {
    return this.head?.weight ?? this.model.embedTokens.weight;
  }

  override dispose(): void {
    super.dispose();
    this.rotary.dispose();
  }
}
