import { LowrankError } from '@lowrank/errors';
import type { AttentionContext, Layer } from '@lowrank/nn';
import { Embedding, Mlp, Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { add, broadcastTo, concat, linear, matmul, mul, permute, reshape, slice } from '@lowrank/tensor';
import { deferred, scope, shapeError, showShape } from '@lowrank/tensor/op';
import { activationOf } from './activation.js';
import type { ConfigReader } from './config.js';
import type { EncoderEmbeddings, EncoderLayer, EncoderShape } from './encoder.js';
import { EncoderAttention, layerNormOf } from './encoder.js';
import type { HeadMaker } from './head.js';
import { headLinear } from './head.js';
import { bicubicWeights } from './positionGrid.js';
import type { WeightSource } from './weights.js';

/** What ViT, DINOv2 and SigLIP's tower share: an encoder over the patches of an image. */
export interface VisionConfig extends EncoderShape {
  readonly channels: number;
  /** Of the images that the table of positions is made for. */
  readonly imageSize: Size;
  readonly patchSize: Size;
  /** Whether a learned token that stands for the whole image comes before the patches. */
  readonly hasClassToken: boolean;
  readonly attentionBias: boolean;
  readonly activation: (x: Tensor) => Tensor;
}

type Size = readonly [height: number, width: number];

export interface VisionDefaults {
  readonly patchSize: number;
  readonly activation: string;
  readonly normEpsilon: number;
  readonly hasClassToken: boolean;
}

/** The keys that the configs of all three classes have; the size of the feed-forward block is each family's own. */
export function visionConfig(
  config: ConfigReader,
  defaults: VisionDefaults,
): Omit<VisionConfig, 'intermediateSize' | 'attentionBias'> {
  const hiddenSize = config.integer('hidden_size', 768);
  const heads = config.integer('num_attention_heads', 12);
  if (hiddenSize % heads !== 0) config.fail('num_attention_heads', `a divisor of ${hiddenSize}`, heads);
  const imageSize = sizeAt(config, 'image_size', 224);
  const patchSize = sizeAt(config, 'patch_size', defaults.patchSize);
  const [rows, columns] = gridOf(imageSize, patchSize);
  if (rows === 0 || columns === 0) config.fail('image_size', 'one patch at least', imageSize);
  const { hasClassToken } = defaults;
  return {
    modelType: config.modelType,
    // It reads no tokens.
    vocabularySize: 0,
    typeVocabularySize: 0,
    hiddenSize,
    layers: config.layers('num_hidden_layers', 12),
    heads,
    keyHeads: heads,
    headSize: hiddenSize / heads,
    maxPositions: rows * columns + (hasClassToken ? 1 : 0),
    normEpsilon: config.number('layer_norm_eps', defaults.normEpsilon),
    channels: config.integer('num_channels', 3),
    imageSize,
    patchSize,
    hasClassToken,
    activation: activationOf(config, 'hidden_act', defaults.activation),
    bosId: undefined,
    eosIds: [],
  };
}

/** A number for both sides, or [height, width]. */
function sizeAt(config: ConfigReader, key: string, fallback: number): Size {
  if (!Array.isArray(config.raw(key))) {
    const side = config.integer(key, fallback, largestSide);
    return [side, side];
  }
  const sides = config.numbers(key);
  const [height = 0, width = 0] = sides;
  const fits = sides.length === 2 && sides.every((side) => Number.isInteger(side) && side > 0 && side <= largestSide);
  return fits ? [height, width] : config.fail(key, 'a whole number above 0, or two of them', sides);
}

/** A config that says more is damaged or hostile: the table of positions alone would fill the memory. */
const largestSide = 16_384;

function gridOf([height, width]: Size, [down, across]: Size): Size {
  return [Math.floor(height / down), Math.floor(width / across)];
}

/** Non-overlapping patches through one linear map: a convolution whose stride is its kernel, as a matrix product. */
class PatchProjection extends Module {
  private readonly weight: Parameter;
  private readonly bias: Parameter;

  constructor(
    private readonly config: VisionConfig,
    weights: WeightSource,
  ) {
    super();
    const { hiddenSize, channels, patchSize } = config;
    this.weight = this.parameter(
      'weight',
      new Parameter(weights.vector('weight', [hiddenSize, channels, ...patchSize])),
    );
    this.bias = this.parameter('bias', new Parameter(weights.vector('bias', [hiddenSize])));
  }

  /** pixels [N, C, H, W] → [N, patches, width], row by row; what is left of a patch at the edges is not seen. */
  forward(pixels: Tensor): Tensor {
    const { hiddenSize, channels, patchSize } = this.config;
    const [down, across] = patchSize;
    const [count = 0, , height = 0, width = 0] = pixels.shape;
    const [rows, columns] = gridOf([height, width], patchSize);
    const whole = slice(slice(pixels, 2, 0, rows * down), 3, 0, columns * across);
    const tiles = permute(reshape(whole, [count, channels, rows, down, columns, across]), [0, 2, 4, 1, 3, 5]);
    const size = channels * down * across;
    const patches = reshape(tiles, [count, rows * columns, size]);
    return add(linear(patches, reshape(this.weight.tensor, [hiddenSize, size])), this.bias.tensor);
  }
}

/** A module that holds another one, and single parameters. */
class Holder extends Module {
  constructor(modules: Readonly<Record<string, Module>>) {
    super();
    for (const [name, module] of Object.entries(modules)) this.child(name, module);
  }
}

export interface VisionEmbeddingNames {
  /** Of the projection: `patch_embeddings.projection`. */
  readonly patches: readonly string[];
  /** Whether the table of positions is a module, `position_embedding.weight`, or a parameter beside the class token. */
  readonly positions: 'module' | 'parameter';
  /** Parameters that are there and have no part in classifying, with their shapes: DINOv2's mask token. */
  readonly others?: Readonly<Record<string, readonly number[]>>;
  /** Whether an image of the table's own number of patches takes the table as it is, though it is no square. */
  readonly keepsNative: boolean;
}

/**
 * [class token; patches] + positions. Images of another size than the table's get positions between those of the table:
 * bicubic, as transformers' `interpolate_pos_encoding`.
 */
export class VisionEmbeddings extends Module implements EncoderEmbeddings {
  private readonly projection: PatchProjection;
  private readonly classToken: Parameter | undefined;
  private readonly table: Parameter;

  constructor(
    private readonly config: VisionConfig,
    weights: WeightSource,
    private readonly names: VisionEmbeddingNames,
  ) {
    super();
    const { hiddenSize, maxPositions, hasClassToken } = config;
    const { patches, positions, others = {} } = names;
    this.projection = this.borrowed(new PatchProjection(config, weights.under(patches.join('.'))));
    const [outer = '', inner] = patches;
    this.child(outer, inner === undefined ? this.projection : new Holder({ [inner]: this.projection }));
    this.classToken = hasClassToken
      ? this.parameter('cls_token', new Parameter(weights.vector('cls_token', [1, 1, hiddenSize])))
      : undefined;
    for (const [name, shape] of Object.entries(others))
      this.parameter(name, new Parameter(weights.vector(name, shape)));
    if (positions === 'module') {
      const table = new Embedding(weights.vector('position_embedding.weight', [maxPositions, hiddenSize]));
      this.child('position_embedding', table);
      this.table = this.borrowed(table.weight);
    } else {
      const table = weights.vector('position_embeddings', [1, maxPositions, hiddenSize]);
      this.table = this.parameter('position_embeddings', new Parameter(table));
    }
  }

  forward(ids: Tensor, { pixels }: AttentionContext): Tensor {
    const { channels, patchSize, hiddenSize } = this.config;
    const [count = 0, given = 0, height = 0, width = 0] = pixels?.shape ?? [];
    if (pixels === undefined || pixels.shape.length !== 4 || given !== channels)
      throw new LowrankError({
        code: 'models.pixels',
        what: 'the images of a batch',
        expected: `pixels f32 [N, ${channels}, height, width]`,
        got: pixels === undefined ? 'none' : showShape(pixels.shape),
      });
    const [rows, columns] = gridOf([height, width], patchSize);
    const patches = scope(this.names.patches.join('.'), () => this.projection.forward(pixels));
    const token = this.classToken?.tensor;
    const all = token === undefined ? patches : concat([broadcastTo(token, [count, 1, hiddenSize]), patches], 1);
    if (ids.shape.join() !== all.shape.slice(0, 2).join())
      throw shapeError(
        'the ids of images',
        `[${count}, ${rows * columns + (token === undefined ? 0 : 1)}]`,
        showShape(ids.shape),
      );
    return add(all, this.positionsFor([height, width]));
  }

  /** [1, T, width] */
  private positionsFor(size: Size): Tensor {
    const { imageSize, patchSize, maxPositions, hiddenSize, hasClassToken } = this.config;
    const table = reshape(this.table.tensor, [maxPositions, hiddenSize]);
    const first = hasClassToken ? 1 : 0;
    const grid = gridOf(size, patchSize);
    const isNative = this.names.keepsNative
      ? size.join() === imageSize.join()
      : grid[0] * grid[1] === maxPositions - first && size[0] === size[1];
    if (isNative) return reshape(table, [1, maxPositions, hiddenSize]);
    const side = Math.floor(Math.sqrt(maxPositions - first));
    if (side * side !== maxPositions - first)
      throw new LowrankError({
        code: 'models.pixels',
        what: `images of ${size.join(' × ')}`,
        expected: `${imageSize.join(' × ')}, since positions are interpolated on a square grid`,
        got: `${maxPositions - first} positions`,
      });
    const count = grid[0] * grid[1];
    const weights = deferred(() => bicubicWeights(side, grid), [count, side * side], { name: 'positions between' });
    const between = matmul(weights, slice(table, 0, first, maxPositions));
    const whole = first === 0 ? between : concat([slice(table, 0, 0, 1), between], 0);
    return reshape(whole, [1, count + first, hiddenSize]);
  }
}

export interface VisionLayerNames {
  readonly attention: string;
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly o: string;
  readonly norms: readonly [string, string];
  /** Learned factors on each block's output (Touvron et al. 2021, LayerScale). */
  readonly scales?: readonly [string, string];
}

/** x · λ, with λ [D]. */
class LayerScale extends Module implements Layer {
  private readonly factors: Parameter;

  constructor(weights: WeightSource, size: number) {
    super();
    this.factors = this.parameter('lambda1', new Parameter(weights.vector('lambda1', [size])));
  }

  forward(x: Tensor): Tensor {
    return mul(x, this.factors.tensor);
  }
}

/** x + attention(norm(x)), then y + mlp(norm(y)): each image's positions see all others of it. */
export class VisionLayer extends Module implements EncoderLayer {
  private readonly attention: EncoderAttention;

  constructor(
    config: VisionConfig,
    weights: WeightSource,
    private readonly names: VisionLayerNames,
  ) {
    super();
    const { hiddenSize: size, heads, headSize, normEpsilon: epsilon, attentionBias } = config;
    const { attention, q, k, v, o, norms, scales = [] } = names;
    const below = weights.under(attention);
    const linearOf = (name: string, bias = true) => below.linear(name, [size, size], { bias });
    const layers = { q: linearOf(q, attentionBias), k: linearOf(k, attentionBias), v: linearOf(v, attentionBias) };
    this.attention = this.child(
      attention,
      new EncoderAttention({ ...layers, o: linearOf(o) }, { q, k, v, o }, { heads, headSize }),
    );
    for (const name of norms) this.child(name, layerNormOf(weights, name, { size, epsilon }));
    this.child('mlp', visionMlp(config, weights.under('mlp')));
    for (const name of scales) this.child(name, new LayerScale(weights.under(name), size));
  }

  forward(x: Tensor, { positions }: AttentionContext): Tensor {
    const { attention, norms, scales } = this.names;
    const scaled = (at: 0 | 1, value: Tensor): Tensor =>
      scales === undefined ? value : this.layer(scales[at]).forward(value);
    const normed = this.layer(norms[0]).forward(x);
    const middle = add(
      scaled(
        0,
        scope(attention, () => this.attention.forward(normed, { positions })),
      ),
      x,
    );
    return add(scaled(1, this.layer('mlp').forward(this.layer(norms[1]).forward(middle))), middle);
  }
}

/** fc2(f(fc1(x))) */
export function visionMlp({ hiddenSize, intermediateSize, activation }: VisionConfig, weights: WeightSource): Mlp {
  const up = weights.linear('fc1', [intermediateSize, hiddenSize], { bias: true });
  const down = weights.linear('fc2', [hiddenSize, intermediateSize], { bias: true });
  return new Mlp({ up: ['fc1', up], down: ['fc2', down] }, activation);
}

/** `classifier` on what `read` makes of an image's hidden states [N, T, D]: [N, factor·D]. */
export function imageHead(read: (hidden: Tensor) => Tensor, factor = 1): HeadMaker<unknown> {
  return ({ weights, body, request }) =>
    request.kind === 'image'
      ? {
          modules: { classifier: headLinear(weights, 'classifier', [request.labels, factor * body.shape.hiddenSize]) },
          reads: 'images',
          forward: (hidden, layer) => layer('classifier').forward(read(hidden)),
        }
      : undefined;
}

/** The hidden state of the class token: [N, T, D] → [N, D]. */
export function classTokenOf(hidden: Tensor): Tensor {
  const [count = 0, , width = 0] = hidden.shape;
  return reshape(slice(hidden, 1, 0, 1), [count, width]);
}
