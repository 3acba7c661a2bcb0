import { apply, defineOp } from '../op.js';
import type { Scalar, Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

/**
 * The smallest logit of each row that the filters of sampling let pass: x [N, V] → [N]. Inputs besides x are 0-d f32:
 * temperature, topK, topP, minP. With p = softmax(x/temperature), in the order of transformers' logits processors,
 * top-k (Fan et al. 2018): what is below the k-th largest logit goes; equals of it stay. k = 0 lets all pass. top-p
 * (Holtzman et al. 2020), over what is left, renormalized: a token stays while those that are likelier sum up to less
 * than topP; equals stay or go together. 1 lets all pass. min-p (Nguyen et al. 2024): what has less than minP times the
 * largest probability goes. 0 lets all pass. The largest logit always stays. A temperature of 0 counts as 1. The result
 * is an element of the row, or min-p's bound where that is higher; kernels find it by bisection.
 */
export const sampleThresholdOp = defineOp<'sampleThreshold', Record<never, never>>({
  name: 'sampleThreshold',
  infer([x, ...numbers]) {
    if (
      x?.dtype !== 'f32' ||
      x.shape.length !== 2 ||
      sizeOf(x.shape) === 0 ||
      numbers.length !== 4 ||
      numbers.some(({ dtype, shape }) => dtype !== 'f32' || sizeOf(shape) !== 1)
    ) {
      throw shapeError(
        'sampleThreshold',
        'f32 [N, V] and four numbers',
        [x, ...numbers].map((spec) => `${spec?.dtype}${showShape(spec?.shape ?? [])}`).join(', '),
      );
    }
    return [{ shape: x.shape.slice(0, 1), dtype: 'f32' }];
  },
  reference({ inputs: [x, temperature, topK, topP, minP], inputSpecs: [spec], outputs: [y] }) {
    const width = spec.shape[1] ?? 1;
    const heat = temperature[0] > 0 ? (temperature[0] ?? 1) : 1;
    y.forEach((_, row) => {
      const sorted = Float64Array.from(x.subarray(row * width, (row + 1) * width))
        .sort()
        .reverse();
      const top = sorted[0];
      const k = topK[0];
      let least = sorted[k >= 1 ? Math.min(k, width) - 1 : width - 1];
      const limit = topP[0] ?? 1;
      if (limit < 1) {
        const kept = sorted.filter((value) => value >= least);
        const weights = kept.map((value) => Math.exp((value - top) / heat));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        least = top;
        for (let at = 0, likelier = 0; at < kept.length;) {
          if (at > 0 && likelier >= limit * total) break;
          least = kept[at];
          for (; kept[at] === least; at++) likelier += weights[at];
        }
      }
      const fraction = minP[0];
      y[row] = fraction > 0 ? Math.max(least, Math.min(top, top + heat * Math.log(fraction))) : least;
    });
  },
});

/** How tokens are drawn: temperature, top-k, top-p and min-p, as transformers' warpers. */
export interface SampleFilters {
  /** f32 scalars. */
  readonly temperature: Scalar;
  readonly topK: Scalar;
  readonly topP: Scalar;
  readonly minP: Scalar;
}

/** The smallest logit of each row that sampling may pick; see {@link sampleThresholdOp}. */
export function sampleThreshold(x: Tensor, { temperature, topK, topP, minP }: SampleFilters): Tensor {
  return apply(sampleThresholdOp, [x, ...[temperature, topK, topP, minP].map((number) => number.tensor)], {});
}
