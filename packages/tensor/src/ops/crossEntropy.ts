import { oneOf, options as optionsOf, signature } from '../arguments.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape } from '../shape.js';
import { aTensor } from '../tensorKinds.js';
import { cast } from './cast.js';
import { crossEntropyRows } from './crossEntropyRows.js';
import { withGradient } from './custom.js';
import { div, lessEqual, mul } from './elementwise.js';
import { sum } from './reduce.js';
import { reshape } from './view.js';

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** The mean over the labels that count (the default), or their sum. */
  reduction?: 'mean' | 'sum';
}

const checkCrossEntropy = signature('crossEntropy', {
  logits: aTensor,
  labels: aTensor,
  options: optionsOf({ reduction: oneOf('mean', 'sum') }),
});

/**
 * −log softmax(logits)[label], as torch.nn.functional.cross_entropy: logits f32 […, V], labels i32 […] → a scalar. A
 * negative label is ignored (−100 by custom); the mean is over the others, and NaN where there are none. For a
 * vocabulary of thousands, `linearCrossEntropy` takes the output projection in as well and stores no logits.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkCrossEntropy(logits, labels, options);
  const width = logits.shape.at(-1) ?? 0;
  if (logits.shape.length < 1 || logits.size !== labels.size * width || labels.dtype !== 'i32')
    throw shapeError(
      'crossEntropy',
      'logits f32 […, V] and labels i32 […]',
      `${showShape(logits.shape)} and ${labels.dtype}${showShape(labels.shape)}`,
    );
  const [losses, slope] = crossEntropyRows(reshape(logits, [labels.size, width]), reshape(labels, [labels.size]));
  if (losses === undefined || slope === undefined) throw new TypeError('crossEntropyRows has two outputs');
  const total = withGradient(sum(losses), [logits], (g) => [mul(g, reshape(slope, logits.shape))]);
  if (options.reduction === 'sum') return total;
  return div(total, sum(lessEqual(0, cast(labels, 'f32'))));
}
