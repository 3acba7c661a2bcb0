import { LowrankError } from '@lowrank/errors';
import type { AttentionContext, LayerCache, Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { cast, embedding, equal, div, matmul, maximum, reshape, sum } from '@lowrank/tensor';
import { scope } from '@lowrank/tensor/op';
import type { Head, HeadRequest } from './head.js';
import { Encoder } from './encoder.js';
import { headClasses, peftHeads, taskTypes } from './head.js';
import type { ModelShape } from './textModel.js';
import { TextModel } from './textModel.js';

/** A batch of documents within a traced function. */
export interface TaskBatch {
  /** i32 [B, T] */
  readonly ids: Tensor;
  /** i32 [B, T] */
  readonly positions: Tensor;
  /** i32 [B, T, 2] */
  readonly segments: Tensor;
  /** i32 [B, T]: 0 in the first text of a pair, 1 in the second. */
  readonly types?: Tensor | undefined;
  /** i32 [N]: where each document's token is that the head reads, counted over all B·T positions. */
  readonly at?: Tensor | undefined;
  /** i32 [B, T]: the document, from 0, that each position belongs to; negative at padding. */
  readonly documents?: Tensor | undefined;
  /** f32 [N]: 0, 1, 2, … */
  readonly slots?: Tensor | undefined;
  /** f32 [B, C, H, W]: of a model that reads images. Its ids are 0, one for each of the T positions of an image. */
  readonly pixels?: Tensor | undefined;
}

/**
 * A body with the head of a task on it, named as transformers names it: `bert.…` and `classifier`, `model.…` and
 * `score`; of a model of embeddings the body's own parts alone, as AutoModel names them. The output projection of a
 * decoder is left out.
 */
export class TaskModel extends TextModel {
  override readonly shape: ModelShape;
  override readonly embeddingPath: string;
  override readonly embeddingScale: number;
  override readonly taskType: string | null;
  override readonly autoMapping: Readonly<Record<string, string>> | undefined;
  /** Modules of the tree that the checkpoint lacks: trained and saved with any method, for no base has them. */
  fresh: readonly string[] = [];
  private readonly body: TextModel;

  constructor(
    body: TextModel,
    readonly head: Head,
    readonly request: HeadRequest,
  ) {
    super();
    this.body = this.borrowed(body);
    this.shape = body.shape;
    this.embeddingScale = body.embeddingScale;
    this.taskType = taskTypes[request.kind];
    this.autoMapping = request.kind === 'image' ? classOf(body) : undefined;
    this.family = body.family;
    this.dropouts = body.dropouts;
    this.paddingId = body.paddingId;
    this.unusedWeights = [...body.unusedWeights, ...(body.outputPath === undefined ? [] : [`${body.outputPath}.`])];
    const parts = partsOf(body);
    const isBare = request.kind === 'embedding';
    const [root] = parts;
    if (root === undefined) throw new TypeError('a model without parts');
    this.embeddingPath = isBare ? body.embeddingPath.slice(root[0].length + 1) : body.embeddingPath;
    for (const [name, module] of isBare ? root[1].children() : parts) this.child(name, module);
    for (const [name, module] of Object.entries(head.modules)) this.child(name, module);
  }

  override get headModules(): readonly string[] {
    const named = peftHeads[this.request.kind];
    // A pooler has no effect on the mean of hidden states.
    const fresh = this.request.kind === 'embedding' ? [] : this.fresh;
    return [...named, ...fresh.filter((name) => !named.some((head) => name.endsWith(head)))];
  }

  /** The path below which the body's tensors are in a checkpoint, where the tree leaves it out. */
  get bodyPath(): string | undefined {
    return this.request.kind === 'embedding' ? partsOf(this.body)[0]?.[0] : undefined;
  }

  /** Whether a weight of the checkpoint may be missing, or of another shape: those of the head, and of a pooler. */
  mayBeFresh(name: string): boolean {
    const first = name.split('.', 1)[0] ?? name;
    return Object.hasOwn(this.head.modules, first) || poolerOf(name) !== undefined;
  }

  /** Whether the body asks for a weight that this model does without: a decoder's output projection. */
  leavesOut(name: string): boolean {
    return this.body.outputPath !== undefined && name.startsWith(`${this.body.outputPath}.`);
  }

  /** The modules that weights belong to, as `modules_to_save` names them. */
  modulesOf(names: readonly string[]): string[] {
    return [...new Set(names.map((name) => poolerOf(name) ?? name.split('.', 1)[0] ?? name))];
  }

  override hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor {
    return this.body.hidden(ids, context, caches);
  }

  /** [N, labels] of N documents or images; where the head reads each token [B·T, labels]. */
  logits(batch: TaskBatch): Tensor {
    const { ids, positions, segments, types, pixels } = batch;
    const hidden = this.hidden(ids, { positions, segments, types, pixels });
    if (this.head.reads === 'images') return this.head.forward(hidden, (name) => this.layer(name));
    const rows = this.rowsOf(reshape(hidden, [ids.size, this.shape.hiddenSize]), batch);
    return this.head.forward(rows, (name) => this.layer(name));
  }

  /**
   * What a module beside the layers makes of hidden states: `head`, SigLIP's pooling.
   *
   * @throws LowrankError `nn.noModule` where the body has none of that name
   */
  beside(name: string, hidden: Tensor): Tensor {
    const { body } = this;
    if (!(body instanceof Encoder)) throw new TypeError('a decoder has nothing beside its layers');
    return body.beside(name, hidden);
  }

  private rowsOf(rows: Tensor, { at, documents, slots }: TaskBatch): Tensor {
    const { reads } = this.head;
    if (reads === 'each') return rows;
    if (reads === 'mean' && documents !== undefined && slots !== undefined) return meanOf(rows, { documents, slots });
    if (reads !== 'mean' && at !== undefined) return embedding(rows, at);
    throw new LowrankError({
      code: 'models.taskBatch',
      what: 'the batch of a task',
      expected: reads === 'mean' ? 'documents i32 [B, T] and slots f32 [N]' : 'at i32 [N]',
      got: 'none',
    });
  }

  override dispose(): void {
    super.dispose();
    this.body.dispose();
  }
}

/** The class in transformers that a head for images stands on this body in. */
function classOf({ family }: TextModel): Readonly<Record<string, string>> | undefined {
  const [library] = family?.modelTypes ?? [];
  if (family?.className === undefined || library === undefined) return undefined;
  return {
    base_model_class: `${family.className}${headClasses.image}`,
    parent_library: `transformers.models.${library}.modeling_${library}`,
  };
}

function poolerOf(name: string): string | undefined {
  return /^\w+\.pooler\./.test(name) ? 'pooler' : undefined;
}

/** The modules of a body that a head stands on: all but a decoder's output projection. */
function partsOf(body: TextModel): (readonly [name: string, module: Module])[] {
  return [...body.children()].filter(([name]) => name !== body.outputPath);
}

/** The mean of each document's rows: rows [B·T, D] → [N, D]; 0 for a slot that holds none. */
export function meanOf(
  rows: Tensor,
  { documents, slots }: { readonly documents: Tensor; readonly slots: Tensor },
): Tensor {
  const own = equal(reshape(cast(documents, 'f32'), [1, documents.size]), reshape(slots, [slots.size, 1]));
  const counts = maximum(sum(own, { axis: 1, keepDims: true }), 1);
  return scope('mean', () => matmul(div(own, counts), rows));
}
