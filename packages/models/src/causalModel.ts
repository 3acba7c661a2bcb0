import { LowrankError } from '@lowrank/errors';
import type { AttentionContext, LayerCache } from '@lowrank/nn';
import { Linear, Module } from '@lowrank/nn';
import type { Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { linear, linearCrossEntropy, reshape, scope, softCapped } from '@lowrank/tensor';

/** What every language model says about itself, under whatever names its config has. */
export interface ModelShape {
  readonly modelType: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly maxPositions: number;
  /** Token ids of the config; the tokenizer may know better. */
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
}

/** A batch within a traced function: i32 tensors. */
export interface LossBatch {
  /** [B, T] */
  readonly ids: Tensor;
  /** [B, T], shifted: the id to be predicted at each position, or a negative number where nothing is. */
  readonly labels: Tensor;
  /** [B, T] */
  readonly positions: Tensor;
  /** [B, T, 2] */
  readonly segments: Tensor;
}

/** A decoder-only language model: token ids → hidden states → logits or loss. An architecture is a subclass in a file of its own. */
export abstract class CausalModel extends Module {
  abstract readonly shape: ModelShape;
  /** The path of the output embedding, which 'all-linear' leaves out. */
  readonly outputPath: string = 'lm_head';
  /** Factor on what is looked up in the embedding (Gemma's √width). */
  readonly embeddingScale: number = 1;
  /**
   * Positions at the beginning of every document that are no tokens: what prompt and prefix tuning put there. Their ids follow the vocabulary. Whoever lays out rows puts them before each; a
   * generator does so by itself.
   */
  virtualTokens = 0;

  /** Bound of the logits, toward which tanh bends them (Gemma 2); 0 for none. */
  protected readonly logitSoftcap: number = 0;

  /** ids i32 [B, T] → hidden states after the final norm [B, T, hiddenSize]. */
  abstract hidden(ids: Tensor, context: AttentionContext, caches?: readonly LayerCache[]): Tensor;

  /** The output projection's weight [V, hiddenSize]: the embedding's own where they are tied. */
  protected abstract outputWeight(): Parameter;

  /** Whether a weight is the output projection's: an embedding's too, where they are tied. */
  isOutput(weight: Parameter): boolean {
    return this.outputWeight() === weight;
  }

  /** Σ over positions with a label of −log p(label | what precedes it): the logits never exist as a whole. */
  loss({ ids, labels, positions, segments }: LossBatch): Tensor {
    const hidden = this.hidden(ids, { positions, segments });
    return scope(this.outputPath, () => linearCrossEntropy(reshape(hidden, [ids.size, this.shape.hiddenSize]), this.plainOutput().tensor, reshape(labels, [ids.size]), { softcap: this.logitSoftcap }));
  }

  /** Hidden rows [N, hiddenSize] → logits [N, V]. */
  logits(rows: Tensor): Tensor {
    return scope(this.outputPath, () => softCapped(linear(rows, this.plainOutput().tensor), this.logitSoftcap));
  }

  private plainOutput(): Parameter {
    const head = this.children().get(this.outputPath);
    if (head === undefined || head instanceof Linear) return this.outputWeight();
    throw new LowrankError({ code: 'models.adaptedOutput', what: this.outputPath, expected: 'no adapter: loss and output projection are one', got: 'an adapted layer', remedy: `Leave ${this.outputPath} out of the target modules.` });
  }
}
