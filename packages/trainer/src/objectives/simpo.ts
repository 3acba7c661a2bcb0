import { defineSettings, number, setting } from '@lowrank/settings';
import type { OptionsOf } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { add, mul, neg, reshape, sub, sum } from '@lowrank/tensor';
import type { MeasuredLoss } from '../batch.js';
import { byPair, documentLogps, meanOf, pairLoss } from './documentSums.js';
import { logSigmoid } from './logSigmoid.js';
import type { DocumentInput, Objective, ScoredModel } from './objective.js';
import { betaSetting, smoothingSetting } from './sharedSettings.js';

export const simpoSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the SimPO setting' },
  {
    beta: betaSetting,
    simpoGamma: setting({
      schema: number({ min: 0 }),
      default: 0.5,
      help: 'reward by which the chosen completion is to lead',
      see: './preferences#simpo',
      value: 'x',
      aliases: ['gamma', 'simpo_gamma'],
    }),
    cpoAlpha: setting({
      schema: number({ min: 0 }),
      default: 0,
      help: "weight of the chosen completions' cross-entropy beside the preference (CPO-SimPO)",
      see: './preferences#simpo',
      value: 'x',
      aliases: ['cpo_alpha'],
    }),
    labelSmoothing: smoothingSetting,
  },
);

type SimpoOptions = OptionsOf<typeof simpoSettings>;

/**
 * Simple preference optimization, Meng et al. 2024 (https://arxiv.org/abs/2405.14734), as TRL's CPOTrainer with
 * loss_type simpo: −log σ(β·(m(chosen) − m(rejected)) − γ), with m the mean log probability of the completion's tokens;
 * with cpoAlpha α also + α·the mean cross-entropy of the chosen completions. No reference.
 */
export const simpo: Objective<typeof simpoSettings> = {
  name: 'simpo',
  title: 'simple preference optimization',
  rows: 'preference',
  settings: simpoSettings,
  hasReference: false,
  nll: ({ cpoAlpha = 0 }: SimpoOptions) => (cpoAlpha > 0 ? 'completion' : undefined),
  loss(model: ScoredModel, inputs: Readonly<Record<DocumentInput, Tensor>>, options: SimpoOptions): MeasuredLoss {
    const { beta = 2, simpoGamma = 0.5, cpoAlpha = 0, labelSmoothing = 0 } = options;
    const { logps, losses } = documentLogps(model, inputs);
    const { chosen, rejected } = byPair(mul(meanOf(logps, inputs.lengths), beta));
    const z = sub(sub(chosen, rejected), simpoGamma);
    const each = neg(add(mul(logSigmoid(z), 1 - labelSmoothing), mul(logSigmoid(neg(z)), labelSmoothing)));
    const { loss, measures } = pairLoss(each, inputs.weights, { chosen, rejected });
    if (cpoAlpha === 0) return { loss, measures };
    const nll = sum(mul(losses, reshape(inputs.nll, [losses.size])));
    return { loss: add(loss, mul(nll, cpoAlpha)), measures };
  },
};
