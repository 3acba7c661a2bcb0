import type { Tensor } from '@lowrank/tensor';
import {
  add,
  argmax,
  cast,
  equal,
  exp,
  lessEqual,
  log,
  maximum,
  mul,
  neg,
  relu,
  reshape,
  sub,
  sum,
} from '@lowrank/tensor';

/** −y·log σ(z) − (1 − y)·log σ(−z) of each element, for z of any size. */
export function binaryCrossEntropy(z: Tensor, y: Tensor): Tensor {
  return add(sub(relu(z), mul(z, y)), log(add(exp(neg(maximum(z, neg(z)))), 1)));
}

/** How many labels i32 [N] that count are the largest of logits [N, L]. */
export function rightAnswers(logits: Tensor, labels: Tensor): Tensor {
  const given = cast(labels, 'f32');
  const chosen = cast(reshape(argmax(logits), labels.shape), 'f32');
  return sum(mul(equal(chosen, given), lessEqual(0, given)));
}
