import type { Tensor } from '@lowrank/tensor';
import {
  cast,
  equal,
  maximum,
  less,
  mul,
  div,
  neg,
  reshape,
  slice,
  stopGradient,
  sub,
  sum,
  where,
} from '@lowrank/tensor';
import type { MeasuredLoss } from '../batch.js';
import type { DocumentInput, ScoredModel } from './objective.js';

/**
 * Σ of the values [N] of each document: documents i32 [B, T] of N = B·T positions, slots f32 [D] → [D]. A position
 * whose
 * document is in no slot counts nowhere.
 */
export function documentSums(values: Tensor, documents: Tensor, slots: Tensor): Tensor {
  const own = equal(reshape(cast(documents, 'f32'), [1, values.size]), reshape(slots, [slots.size, 1]));
  return sum(where(own, reshape(values, [1, values.size]), 0), { axis: 1 });
}

/** log p(completion | prompt) of each document, Σ over its tokens [D], and what the model makes of every position. */
export function documentLogps(
  model: ScoredModel,
  inputs: Readonly<
    Record<Extract<DocumentInput, 'documents' | 'slots'> | 'ids' | 'labels' | 'positions' | 'segments', Tensor>
  >,
): { readonly logps: Tensor; readonly losses: Tensor } {
  const losses = model.losses(inputs);
  return { logps: neg(documentSums(losses, inputs.documents, inputs.slots)), losses };
}

/** Values [2P] of documents, by pair: [P] of the chosen, [P] of the rejected ones. */
export function byPair(values: Tensor): { readonly chosen: Tensor; readonly rejected: Tensor } {
  const pairs = values.size / 2;
  return { chosen: slice(values, 0, 0, pairs), rejected: slice(values, 0, pairs, 2 * pairs) };
}

/** Values over lengths; −1, which no logarithm or exponential minds, where a slot holds nothing. */
export function meanOf(values: Tensor, lengths: Tensor): Tensor {
  return where(less(0, lengths), div(values, maximum(lengths, 1)), -1);
}

/**
 * Σ over the pairs, and by rewards [P] without a gradient: `margin`, and `accuracy`, the share of chosen above
 * rejected.
 */
export function pairLoss(
  losses: Tensor,
  weights: Tensor,
  rewards: { readonly chosen: Tensor; readonly rejected: Tensor },
): MeasuredLoss {
  const [chosen, rejected] = [stopGradient(rewards.chosen), stopGradient(rewards.rejected)];
  return {
    loss: sum(mul(weights, losses)),
    measures: {
      margin: sum(mul(weights, sub(chosen, rejected))),
      accuracy: sum(mul(weights, less(rejected, chosen))),
    },
  };
}
