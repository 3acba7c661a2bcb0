import { defineSettings, number, setting } from '@lowrank/settings';
import type { OptionsOf } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { div, less, maximum, mul, sigmoid, stopGradient, sub, sum, where } from '@lowrank/tensor';
import type { MeasuredLoss } from '../batch.js';
import { documentLogps } from './documentSums.js';
import type { JudgedInput, Objective, ScoredModel } from './objective.js';
import { betaSetting } from './sharedSettings.js';

const weight = number({ min: 0 });

export const ktoSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the KTO setting' },
  {
    beta: betaSetting,
    desirableWeight: setting({
      schema: weight,
      default: 1,
      help: 'factor on the loss of good completions',
      see: './preferences#kto',
      value: 'x',
      aliases: ['desirable_weight'],
    }),
    undesirableWeight: setting({
      schema: weight,
      default: 1,
      help: 'factor on the loss of the other completions',
      see: './preferences#kto',
      value: 'x',
      aliases: ['undesirable_weight'],
    }),
  },
);

/**
 * Kahneman-Tversky optimization, Ethayarajh et al. 2024 (https://arxiv.org/abs/2402.01306), as TRL's KTOTrainer:
 * λ·(1 − σ(±β·(log(π/π_ref) − z))), + for good completions and − for others, with z the divergence from the reference:
 * max(0, mean of log(π/π_ref) over the batch's completions behind the next row's prompt). No gradient flows through z.
 *
 * `margin` is the mean reward β·log(π/π_ref) of good completions − that of the others; `accuracy` the share of rows on
 * their side of z.
 */
export const kto: Objective<typeof ktoSettings> = {
  name: 'kto',
  title: 'Kahneman-Tversky optimization',
  rows: 'kto',
  settings: ktoSettings,
  hasReference: true,
  loss(
    model: ScoredModel,
    inputs: Readonly<Record<JudgedInput, Tensor>>,
    { beta = 0.1, desirableWeight = 1, undesirableWeight = 1 }: OptionsOf<typeof ktoSettings>,
  ): MeasuredLoss {
    const { weights, signs } = inputs;
    const mismatched = documentLogps(model, {
      ids: inputs.mismatchedIds,
      labels: inputs.mismatchedLabels,
      positions: inputs.mismatchedPositions,
      segments: inputs.mismatchedSegments,
      documents: inputs.mismatchedDocuments,
      slots: inputs.slots,
    });
    const apart = sub(stopGradient(mismatched.logps), inputs.mismatchedReference);
    const divergence = maximum(div(sum(mul(weights, apart)), sum(weights)), 0);
    const ratios = sub(documentLogps(model, inputs).logps, inputs.reference);
    const side = mul(signs, sub(ratios, divergence));
    const factors = mul(weights, where(less(0, signs), desirableWeight, undesirableWeight));
    return {
      loss: sum(mul(factors, sub(1, sigmoid(mul(side, beta))))),
      measures: {
        margin: sum(mul(mul(inputs.balance, stopGradient(ratios)), beta)),
        accuracy: sum(mul(weights, less(0, stopGradient(side)))),
      },
    };
  },
};
