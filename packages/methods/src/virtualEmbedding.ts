import type { Layer, Parameter } from '@lowrank/nn';
import { Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { cast, embedding, less, maximum, minimum, mul, reshape, where, sub } from '@lowrank/tensor';

export interface VirtualEmbeddingOptions {
  /** V: ids from here on are virtual tokens. */
  readonly vocabularySize: number;
  /** What the model multiplies embeddings with, which rows of the table do not get. */
  readonly scale: number;
}

/**
 * An embedding that knows virtual tokens: id V + i is row i of a trained table [P, width] (prompt tuning; Lester et al.
 * 2021), and ids below V are the model's own. Without a table a virtual token is any token: its value has no effect
 * (prefix tuning). The table holds the hidden states themselves: PEFT inserts them after the model's factor on
 * embeddings (Gemma's √width), so the layer divides by it here.
 */
export class VirtualEmbedding extends Module implements Layer {
  /**
   * @param trained held here, so that it goes with the model; `prompt_embeddings` among it is the table
   */
  constructor(
    readonly base: Layer,
    trained: ReadonlyMap<string, Parameter>,
    private readonly options: VirtualEmbeddingOptions,
  ) {
    super();
    this.child('base_layer', base);
    for (const [name, parameter] of trained) this.parameter(name, parameter);
  }

  /** ids i32 [B, T] → [B, T, width] */
  forward(ids: Tensor): Tensor {
    const { vocabularySize, scale } = this.options;
    // Ids are exact in f32, since vocabularies are far below 2²⁴.
    const numbers = cast(ids, 'f32');
    const own = this.base.forward(cast(minimum(numbers, vocabularySize - 1), 'i32'));
    const table = this.ownParameters().get('prompt_embeddings')?.tensor;
    if (table === undefined) return own;
    const rows = embedding(table, cast(maximum(sub(numbers, vocabularySize), 0), 'i32'));
    return where(
      less(reshape(numbers, [...ids.shape, 1]), vocabularySize),
      own,
      scale === 1 ? rows : mul(rows, 1 / scale),
    );
  }
}
