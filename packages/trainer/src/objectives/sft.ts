import { defineSettings } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import type { MeasuredLoss, TokenInput } from '../batch.js';
import type { Objective, ScoredModel } from './objective.js';

export const sftSettings = defineSettings({ code: 'trainer.settings', subject: 'the setting' }, {});

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
