import type {
  AttentionContext,
  AttentionLayerOptions,
  DecoderLayer,
  GatedActivation,
  Layer,
  LayerCache,
  RotaryTable,
} from '@lowrank/nn';
import { Attention, GatedMlp, Module, ModuleList, noisyEmbeddings, RmsNorm } from '@lowrank/nn';
import type { DType, Tensor } from '@lowrank/tensor';
import { mul } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import { CausalModel } from './causalModel.js';
import type { TransformerConfig } from './transformerConfig.js';
import type { TokenTable, WeightSource } from './weights.js';
import { tableDtype } from './weights.js';

/** What a family's file says of its decoder. */
export interface TransformerParts {
  readonly config: TransformerConfig;
  /** Layer `at`, from the weights below `layers.{at}`. */
  readonly layer: (weights: WeightSource, at: number) => DecoderLayer;
  /** Freed with the model. */
  readonly rotary: readonly RotaryTable[];
  /** Added to the weights of the final norm: Gemma's 1. */
  readonly normOffset?: number;
  /** Factor on the embedding's rows, given their width and the dtype of the checkpoint's table. */
  readonly embeddingScale?: (width: number, dtype: DType) => number;
  /** Factor on the logits. */
  readonly logitScale?: number;
  /** Bound of the logits, toward which tanh bends them; 0 for none. */
  readonly logitSoftcap?: number;
  /** Where the decoder is: `model`, or `model.language_model` within a model of more than text. */
  readonly path?: string;
}

/** Embedding, layers, final norm: `model` of a causal decoder. */
class TransformerBody extends Module {
  readonly embedTokens: TokenTable;
  readonly layers: ModuleList<DecoderLayer>;
  readonly scale: number;

  constructor({ config, layer, normOffset = 0, embeddingScale }: TransformerParts, weights: WeightSource) {
    super();
    this.embedTokens = this.child(
      'embed_tokens',
      weights.tokens('embed_tokens', [config.vocabularySize, config.hiddenSize]),
    );
    this.scale = embeddingScale?.(config.hiddenSize, tableDtype(this.embedTokens)) ?? 1;
    this.layers = this.child(
      'layers',
      new ModuleList(Array.from({ length: config.layers }, (_, at) => layer(weights.under(`layers.${at}`), at))),
    );
    this.child(
      'norm',
      rmsNorm(weights, 'norm', { size: config.hiddenSize, epsilon: config.normEpsilon, offset: normOffset }),
    );
  }

  forward(ids: Tensor, context: AttentionContext, caches: readonly LayerCache[] | undefined): Tensor {
    const looked = this.layer('embed_tokens').forward(ids);
    const embedded = this.scale === 1 ? looked : mul(looked, this.scale);
    const noisy = noisyEmbeddings(embedded, context.segments);
    const x = this.layers.run('layers', noisy, (layer, input, at) => layer.forward(input, context, caches?.[at]));
    return this.layer('norm').forward(x);
  }
}

/**
 * A decoder-only transformer under the names that Hugging Face's families share: `model.embed_tokens`,
 * `model.layers.{i}`, `model.norm`, and `lm_head`, over the embedding's table where it is tied.
 */
export class Transformer extends CausalModel {
  override readonly shape: TransformerConfig;
  override readonly embeddingPath: string;
  override readonly embeddingScale: number;
  protected override readonly logitScale: number;
  protected override readonly logitSoftcap: number;
  private readonly body: TransformerBody;
  private readonly rotary: readonly RotaryTable[];
  private readonly path: string;

  constructor(parts: TransformerParts, weights: WeightSource) {
    super();
    const { config, rotary, logitScale = 1, logitSoftcap = 0, path = 'model' } = parts;
    this.shape = config;
    this.logitScale = logitScale;
    this.logitSoftcap = logitSoftcap;
    this.rotary = rotary;
    this.path = path;
    this.embeddingPath = `${path}.embed_tokens`;
    // Its place in the tree is the path, which may lie deeper.
    this.body = this.borrowed(new TransformerBody(parts, weights.under(path)));
    this.embeddingScale = this.body.scale;
    const [first = path, ...below] = path.split('.');
    this.child(
      first,
      below.reduceRight<Module>((inner, name) => new Container(name, inner), this.body),
    );
    this.child(
      'lm_head',
      weights.output(
        'lm_head',
        [config.vocabularySize, config.hiddenSize],
        config.tied ? this.body.embedTokens : undefined,
      ),
    );
  }

  hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor {
    return scope(this.path, () => this.body.forward(ids, context, caches));
  }

  override dispose(): void {
    super.dispose();
    for (const table of this.rotary) table.dispose();
  }
}

/** A module that only holds another one. */
class Container extends Module {
  constructor(name: string, inner: Module) {
    super();
    this.child(name, inner);
  }
}

/** `name.weight` as an RMSNorm. */
export function rmsNorm(
  weights: WeightSource,
  name: string,
  { size, epsilon, offset = 0 }: { size: number; epsilon: number; offset?: number },
): RmsNorm {
  return new RmsNorm(weights.vector(`${name}.weight`, [size]), epsilon, offset);
}

export interface SelfAttentionOptions extends Pick<
  AttentionLayerOptions,
  'rotary' | 'window' | 'scale' | 'softcap' | 'normOver'
> {
  /** Biases of q, k and v; of o. */
  readonly bias?: boolean;
  readonly outputBias?: boolean;
  /** `q_norm` and `k_norm`, each over a row of `size`. */
  readonly norm?: (name: 'q_norm' | 'k_norm', heads: number) => Layer;
}

/** `q_proj`, `k_proj`, `v_proj` and `o_proj` of a layer, from the weights below `self_attn`. */
export function selfAttention(
  weights: WeightSource,
  { hiddenSize, heads, keyHeads, headSize }: TransformerConfig,
  { bias = false, outputBias = bias, norm, ...options }: SelfAttentionOptions,
): Attention {
  return new Attention(
    {
      q: weights.linear('q_proj', [heads * headSize, hiddenSize], { bias }),
      k: weights.linear('k_proj', [keyHeads * headSize, hiddenSize], { bias }),
      v: weights.linear('v_proj', [keyHeads * headSize, hiddenSize], { bias }),
      o: weights.linear('o_proj', [hiddenSize, heads * headSize], { bias: outputBias }),
      norms: norm === undefined ? undefined : { q: norm('q_norm', heads), k: norm('k_norm', keyHeads) },
    },
    { heads, keyHeads, headSize, ...options },
  );
}

/** `gate_proj`, `up_proj` and `down_proj` of a layer, from the weights below `mlp`. */
export function gatedMlp(
  weights: WeightSource,
  { hiddenSize, intermediateSize }: TransformerConfig,
  { bias = false, activation = 'silu' }: { bias?: boolean; activation?: GatedActivation } = {},
): GatedMlp {
  return new GatedMlp(
    {
      gate: weights.linear('gate_proj', [intermediateSize, hiddenSize], { bias }),
      up: weights.linear('up_proj', [intermediateSize, hiddenSize], { bias }),
      down: weights.linear('down_proj', [hiddenSize, intermediateSize], { bias }),
    },
    activation,
  );
}
