import { applyAll, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

export interface CrossEntropyRowsAttrs {
  /** Also write dloss/dlogits. */
  readonly gradient: boolean;
}

/**
 * loss[n] = log Σ exp(logits[n, :]) − logits[n, label[n]]; 0 where the label is negative (ignored; −100 by custom).
 * Outputs the losses [N] and, where `gradient` is set, softmax(logits) − onehot(label) [N, V] (zero rows for ignored
 * labels), usually in the place of the logits. Otherwise the second output has one element and no meaning.
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
    labels.forEach((label, row) => {
      if (label < 0 || logits === undefined || loss === undefined) return;
      const scores = logits.subarray(row * width, (row + 1) * width);
      const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
      loss[row] = top + Math.log(total) - scores[label];
      if (!attrs.gradient || gradient === undefined) return;
      for (let i = 0; i < width; i++)
        gradient[row * width + i] = Math.exp(scores[i] - top) / total - (i === label ? 1 : 0);
    });
  },
  inPlace: [[0, 1]],
  prune: (attrs, used) => (used[1] === true ? attrs : { gradient: false }),
  flops: ([logits]) => 4 * sizeOf(logits?.shape ?? []),
});

/** [losses, dlogits] of rows of logits. */
export function crossEntropyRows(logits: Tensor, labels: Tensor): Tensor[] {
  return applyAll(crossEntropyRowsOp, [logits, labels], { gradient: true });
}
