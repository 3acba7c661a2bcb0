import { LowrankError } from '@lowrank/errors';
import { isProjection, lossTerms, projected } from '@lowrank/nn';
import type { ProjectionParts } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { linearCrossEntropy, mul, reshape } from '@lowrank/tensor';
import { scope, softCapped } from '@lowrank/tensor/op';
import { TextModel } from './textModel.js';

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

/**
 * A decoder-only language model: token ids → hidden states → logits or loss. A family builds it (`families/`), and what
 * the family states about itself goes with the model, for adapters, merges and conversions.
 */
export abstract class CausalModel extends TextModel {
  override readonly outputPath: string = 'lm_head';

  /** Factor on the logits (Granite), before the bound. */
  protected readonly logitScale: number = 1;
  /** Bound of the logits, toward which tanh bends them (Gemma 2); 0 for none. */
  protected readonly logitSoftcap: number = 0;

  /** Σ over positions with a label of −log p(label | what precedes it): the logits never exist as a whole. */
  loss(batch: LossBatch): Tensor {
    return this.crossEntropy(batch, 'sum');
  }

  /** −log p(label | what precedes it) of every position [B·T], 0 where there is no label: what preferences sum up. */
  losses(batch: LossBatch): Tensor {
    return this.crossEntropy(batch, 'none');
  }

  private crossEntropy({ ids, labels, positions, segments }: LossBatch, reduction: 'sum' | 'none'): Tensor {
    const hidden = this.hidden(ids, { positions, segments });
    return scope(this.outputPath, () => {
      const rows = this.scaled(reshape(hidden, [ids.size, this.shape.hiddenSize]));
      const { weight, terms } = this.output(rows);
      const extra = reduction === 'sum' ? lossTerms() : {};
      const options = { terms, softcap: this.logitSoftcap, reduction, ...extra };
      return linearCrossEntropy(rows, weight, reshape(labels, [ids.size]), options);
    });
  }

  /** Hidden rows [N, hiddenSize] → logits [N, V]. */
  logits(rows: Tensor): Tensor {
    return scope(this.outputPath, () => {
      const scaled = this.scaled(rows);
      return softCapped(projected(scaled, this.output(scaled)), this.logitSoftcap);
    });
  }

  /** What scales the rows scales their logits, which never exist as a whole. */
  private scaled(rows: Tensor): Tensor {
    return this.logitScale === 1 ? rows : mul(rows, this.logitScale);
  }

  /**
   * The output projection as it is now, with what adapters add to it, in parts that the loss multiplies chunk by chunk.
   */
  private output(rows: Tensor): ProjectionParts {
    const head = this.children().get(this.outputPath);
    if (head !== undefined && isProjection(head)) return head.parts(rows);
    throw new LowrankError({
      code: 'models.adaptedOutput',
      what: this.outputPath,
      expected: 'a linear layer, or one with adapters around it: loss and output projection are one',
      got: head?.constructor.name ?? 'none',
      remedy: `Leave ${this.outputPath} as it is.`,
    });
  }
}
