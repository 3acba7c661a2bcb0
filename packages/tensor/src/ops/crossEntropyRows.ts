import { applyAll, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

/** What may be added to the cross-entropy. */
export interface LossTerms {
  /** ε: the target is (1 − ε)·onehot(label) + ε/V. Default 0. */
  readonly labelSmoothing?: number | undefined;
  /** ζ: adds ζ·(log Σ exp(logits))², which keeps the logits' scale where it is (PaLM). Default 0. */
  readonly zLoss?: number | undefined;
}

export interface CrossEntropyRowsAttrs extends LossTerms {
  /** Also write dloss/dlogits. */
  readonly gradient: boolean;
}

/**
 * With z = logits[n, :], y = label[n] and Z = log Σ exp(z): loss[n] = Z − (1 − ε)·z[y] − ε·mean(z) + ζ·Z²; 0 where the
 * label is negative (ignored; −100 by custom). With ε alone this is transformers' LabelSmoother and torch's
 * `label_smoothing`. Outputs the losses [N] and, where `gradient` is set, (1 + 2ζZ)·softmax(z) − (1 − ε)·onehot(y) −
 * ε/V [N, V] (zero rows for ignored labels), usually in the place of the logits. Otherwise the second output has one
 * element and no meaning.
 */
export const crossEntropyRowsOp = defineOp<'crossEntropyRows', CrossEntropyRowsAttrs>({
  name: 'crossEntropyRows',
  infer([logits, labels], { gradient }) {
    if (
      logits?.dtype !== 'f32' ||
      logits.shape.length !== 2 ||
      labels?.dtype !== 'i32' ||
      sizeOf(labels.shape) !== logits.shape[0]
    ) {
      throw shapeError(
        'crossEntropyRows',
        'logits f32 [N, V] and labels i32 [N]',
        `${showShape(logits?.shape ?? [])} and ${showShape(labels?.shape ?? [])}`,
      );
    }
    return [
      { shape: [logits.shape[0]], dtype: 'f32' },
      { shape: gradient ? logits.shape : [1], dtype: 'f32' },
    ];
  },
  reference({ inputs: [logits, labels], inputSpecs: [spec], outputs: [loss, gradient], attrs }) {
    const width = spec.shape[1];
    const { labelSmoothing = 0, zLoss = 0 } = attrs;
    labels.forEach((label, row) => {
      if (label < 0 || logits === undefined || loss === undefined) return;
      const scores = logits.subarray(row * width, (row + 1) * width);
      const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
      const normalizer = top + Math.log(total);
      const mean = scores.reduce((sum, score) => sum + score, 0) / width;
      loss[row] =
        normalizer - (1 - labelSmoothing) * scores[label] - labelSmoothing * mean + zLoss * normalizer * normalizer;
      if (!attrs.gradient || gradient === undefined) return;
      for (let i = 0; i < width; i++)
        gradient[row * width + i] =
          ((1 + 2 * zLoss * normalizer) * Math.exp(scores[i] - top)) / total -
          (i === label ? 1 - labelSmoothing : 0) -
          labelSmoothing / width;
    });
  },
  inPlace: [[0, 1]],
  halves: () => ({ inputs: [0], outputs: [1] }),
  prune: (attrs, used) => (used[1] === true ? attrs : { ...attrs, gradient: false }),
  flops: ([logits]) => 4 * sizeOf(logits?.shape ?? []),
});

/** [losses, dlogits] of rows of logits. */
export function crossEntropyRows(
  logits: Tensor,
  labels: Tensor,
  { labelSmoothing = 0, zLoss = 0 }: LossTerms = {},
): Tensor[] {
  return applyAll(crossEntropyRowsOp, [logits, labels], { gradient: true, labelSmoothing, zLoss });
}
