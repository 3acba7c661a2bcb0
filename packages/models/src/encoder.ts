import type { AttentionContext, LinearLike } from '@lowrank/nn';
import { AttentionBase, LayerNorm, Module, ModuleList, noisyEmbeddings } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { reshape } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { ModelShape } from './textModel.js';
import { TextModel } from './textModel.js';
import type { WeightSource } from './weights.js';

/** What encoders have under whatever names their configs give it. */
export interface EncoderShape extends ModelShape {
  readonly intermediateSize: number;
  readonly normEpsilon: number;
  /** Rows of the table of token types; 0 where a model has none. */
  readonly typeVocabularySize: number;
}

/** A layer of an encoder: hidden states [B, T, width] → the same. */
export interface EncoderLayer extends Module {
  forward(x: Tensor, context: AttentionContext): Tensor;
}

/** Ids to the hidden states that enter the first layer. */
export interface EncoderEmbeddings extends Module {
  forward(ids: Tensor, context: AttentionContext): Tensor;
}

export interface EncoderParts {
  readonly shape: EncoderShape;
  /** Where the body is in the tree: `bert`. */
  readonly root: string;
  /** The embedding of token ids, below the root. */
  readonly tokens: string;
  readonly embeddings: EncoderEmbeddings;
  /** Where the layers are, below the root: `encoder.layer`. */
  readonly path: readonly [parent: string | undefined, layers: string];
  readonly layers: readonly EncoderLayer[];
  /** Modules beside them, such as a final norm or a pooler. */
  readonly others?: Readonly<Record<string, Module>>;
  /** What becomes of the last layer's output. */
  readonly finish?: (x: Tensor, layer: (name: string) => { forward(x: Tensor): Tensor }) => Tensor;
  /** Freed with the model. */
  readonly held?: readonly { dispose(): void }[];
}

/** A body's modules under its root. */
class EncoderBody extends Module {
  private readonly embeddings: EncoderEmbeddings;
  private readonly blocks: ModuleList<EncoderLayer>;

  constructor(private readonly parts: EncoderParts) {
    super();
    const { path, layers, others = {} } = parts;
    const [parent, name] = path;
    this.embeddings = this.child('embeddings', parts.embeddings);
    this.blocks = this.borrowed(new ModuleList(layers));
    this.child(parent ?? name, parent === undefined ? this.blocks : new Container(name, this.blocks));
    for (const [other, module] of Object.entries(others)) this.child(other, module);
  }

  forward(ids: Tensor, context: AttentionContext): Tensor {
    const { path, finish } = this.parts;
    const embedded = scope('embeddings', () => this.embeddings.forward(ids, context));
    const noisy = noisyEmbeddings(embedded, context.segments);
    const name = path.filter((part) => part !== undefined).join('.');
    const x = this.blocks.run(name, noisy, (block, input) => block.forward(input, context));
    return finish === undefined ? x : finish(x, (each) => this.layer(each));
  }

  beside(name: string, rows: Tensor): Tensor {
    return this.layer(name).forward(rows);
  }
}

/**
 * A bidirectional transformer: token ids → hidden states, each of which has seen its whole document. It writes no text;
 * the head of a task goes on it.
 */
export class Encoder extends TextModel {
  override readonly shape: EncoderShape;
  override readonly embeddingPath: string;
  private readonly body: EncoderBody;
  private readonly root: string;
  private readonly held: readonly { dispose(): void }[];

  constructor(parts: EncoderParts) {
    super();
    const { shape, root, tokens, held = [] } = parts;
    this.shape = shape;
    this.root = root;
    this.held = held;
    this.embeddingPath = `${root}.${tokens}`;
    this.body = this.child(root, new EncoderBody(parts));
  }

  override hidden(ids: Tensor, context: AttentionContext): Tensor {
    return scope(this.root, () => this.body.forward(ids, context));
  }

  /** What a module beside the layers makes of rows: a pooler. */
  beside(name: string, rows: Tensor): Tensor {
    return scope(this.root, () => this.body.beside(name, rows));
  }

  override dispose(): void {
    super.dispose();
    for (const each of this.held) each.dispose();
  }
}

/** A module that only holds another one. */
class Container extends Module {
  constructor(name: string, inner: Module) {
    super();
    this.child(name, inner);
  }
}

/** `name.weight` and `name.bias` as a LayerNorm. */
export function layerNormOf(
  weights: WeightSource,
  name: string,
  { size, epsilon, bias = true }: { readonly size: number; readonly epsilon: number; readonly bias?: boolean },
): LayerNorm {
  return new LayerNorm(
    {
      weight: weights.vector(`${name}.weight`, [size]),
      bias: bias ? weights.vector(`${name}.bias`, [size]) : undefined,
    },
    epsilon,
  );
}

/**
 * Bidirectional self-attention with absolute positions, up to its output projection: softmax(q·kᵀ/√D)·v, over the
 * token's own document.
 */
export class EncoderAttention extends AttentionBase {
  /** @param names of the layers of q, k and v in the checkpoint, and of the output projection where it is here */
  constructor(
    layers: { readonly q: LinearLike; readonly k: LinearLike; readonly v: LinearLike; readonly o?: LinearLike },
    private readonly names: { readonly q: string; readonly k: string; readonly v: string; readonly o?: string },
    private readonly sizes: { readonly heads: number; readonly headSize: number },
  ) {
    super();
    for (const part of ['q', 'k', 'v'] as const) this.child(names[part], layers[part]);
    if (layers.o !== undefined && names.o !== undefined) this.child(names.o, layers.o);
  }

  /** x [B, T, width] → [B, T, width] */
  forward(x: Tensor, context: AttentionContext): Tensor {
    const { heads, headSize } = this.sizes;
    const [batch = 0, length = 0] = x.shape;
    const project = (name: string): Tensor => reshape(this.layer(name).forward(x), [batch, length, heads, headSize]);
    const { q, k, v, o } = this.names;
    const qkv = { q: project(q), k: project(k), v: project(v) };
    const mixed = reshape(this.attend(qkv, context, { cache: undefined, causal: false }), [
      batch,
      length,
      heads * headSize,
    ]);
    return o === undefined ? mixed : this.layer(o).forward(mixed);
  }
}
