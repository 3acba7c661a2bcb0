import { defineSettings } from '@lowrank/settings';
import type { OptionsOf } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { add, mul, neg, reshape, sub, sum } from '@lowrank/tensor';
import type { MeasuredLoss } from '../batch.js';
import { byPair, documentLogps, meanOf, pairLoss } from './documentSums.js';
import { log1mexp, logSigmoid } from './logSigmoid.js';
import type { DocumentInput, Objective, ScoredModel } from './objective.js';
import { betaSetting } from './sharedSettings.js';

export const orpoSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the ORPO setting' },
  { beta: betaSetting },
);

/**
 * Odds ratio preference optimization, Hong et al. 2024 (https://arxiv.org/abs/2403.07691), as TRL's ORPOTrainer: the
 * mean cross-entropy of the chosen texts, prompts included, − β·log σ(log odds(chosen) − log odds(rejected)), with
 * odds = p/(1 − p) of p = exp(mean log probability of the completion's tokens). No reference.
 */
export const orpo: Objective<typeof orpoSettings> = {
  name: 'orpo',
  title: 'odds ratio preference optimization',
  rows: 'preference',
  settings: orpoSettings,
  hasReference: false,
  nll: () => 'document',
  loss(
    model: ScoredModel,
    inputs: Readonly<Record<DocumentInput, Tensor>>,
    { beta = 0.1 }: OptionsOf<typeof orpoSettings>,
  ): MeasuredLoss {
    const { logps, losses } = documentLogps(model, inputs);
    const means = meanOf(logps, inputs.lengths);
    const odds = byPair(sub(means, log1mexp(means)));
    const ratio = neg(mul(logSigmoid(sub(odds.chosen, odds.rejected)), beta));
    const { chosen, rejected } = byPair(means);
    const { loss, measures } = pairLoss(ratio, inputs.weights, {
      chosen: mul(chosen, beta),
      rejected: mul(rejected, beta),
    });
    return { loss: add(loss, sum(mul(losses, reshape(inputs.nll, [losses.size])))), measures };
  },
};
