import { defineSettings, number, setting } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import type { MeasuredLoss, TokenInput } from '../batch.js';
import type { Objective, ScoredModel } from './objective.js';

export const sftSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the training setting' },
  {
    /** ε: the target is (1 − ε)·onehot + ε/V. Training alone; evaluations have none. */
    labelSmoothing: setting({
      schema: number({ min: 0, below: 1 }),
      default: 0,
      help: 'share of the target that is spread over the vocabulary; of dpo and simpo, of pairs the wrong way round',
      see: './preferences#label-smoothing',
      value: 'x',
      aliases: ['label_smoothing_factor'],
    }),
    /** Training alone. */
    zLoss: setting({
      schema: number({ min: 0 }),
      default: 0,
      help: 'factor on the square of the logits’ log-normalizer, which keeps it near 0',
      value: 'x',
      aliases: ['z_loss', 'z_loss_weight'],
    }),
  },
);

/** Supervised fine-tuning: the cross-entropy of the labels, Σ over tokens; `train` divides it by their number. */
export const sft: Objective<typeof sftSettings> = {
  name: 'sft',
  title: 'supervised fine-tuning',
  rows: 'sft',
  settings: sftSettings,
  hasReference: false,
  loss: (model: ScoredModel, inputs: Readonly<Record<TokenInput, Tensor>>): MeasuredLoss => ({
    loss: model.loss(inputs),
    measures: {},
  }),
};
