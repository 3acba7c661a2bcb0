import { anInteger, options as optionsOf, signature } from '../arguments.js';
import type { Tensor } from '../graph.js';
import { aTensor } from '../tensorKinds.js';
import { stopGradient } from './custom.js';
import { div, exp, log, sub } from './elementwise.js';
import { max, sum } from './reduce.js';

/** Options of `softmax`. */
export interface SoftmaxOptions {
  /** The axis that sums to 1; the last by default. */
  axis?: number;
}

const softmaxOptions = optionsOf({ axis: anInteger });
const checkSoftmax = signature('softmax', { x: aTensor, options: softmaxOptions });
const checkLogSoftmax = signature('logSoftmax', { x: aTensor, options: softmaxOptions });

/** e^x / Σ e^x along one axis, as torch.softmax. Numbers far apart neither overflow nor turn into NaN. */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  checkSoftmax(x, options);
  const { axis = -1 } = options;
  const powers = exp(belowLargest(x, axis));
  return div(powers, sum(powers, { axis, keepDims: true }));
}

/** x − log Σ e^x along one axis, as torch.log_softmax: exact where softmax itself would be 0. */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  checkLogSoftmax(x, options);
  const { axis = -1 } = options;
  const shifted = belowLargest(x, axis);
  return sub(shifted, log(sum(exp(shifted), { axis, keepDims: true })));
}

/** x minus the largest along the axis. The shift cancels in what is computed, so no gradient flows through it. */
function belowLargest(x: Tensor, axis: number): Tensor {
  return sub(x, stopGradient(max(x, { axis, keepDims: true })));
}
