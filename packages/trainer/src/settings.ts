import { choice, defineSettings, number, setting, toggle, wholeNumber } from '@lowrank/settings';
import { optimizers } from './moments.js';
import { schedules } from './schedule.js';

/** Settings of training: how long, and by what rule. */
export const trainingSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the training setting' },
  {
    /** Optimizer steps. */
    steps: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'optimizer steps',
      value: 'n',
      otherwise: 'once through the data',
      aliases: ['max_steps', 'iters', 'num_train_steps'],
    }),
    /** The rate at the end of the warmup. */
    learningRate: setting({
      schema: number({ min: 0 }),
      default: 2e-4,
      help: 'peak learning rate of AdamW (betas 0.9 and 0.999, eps 1e-8)',
      value: 'x',
      aliases: ['lr', 'rate'],
    }),
    optimizer: setting({
      schema: choice(optimizers),
      default: 'adamw',
      help: `${optimizers.join(' or ')}: moments in 32 bits, or in 8`,
      see: './packages/trainer#moments-in-8-bits',
      value: 'name',
      aliases: ['optim'],
      cost: true,
    }),
    schedule: setting({
      schema: choice(schedules),
      default: 'constant',
      help: `${schedules.join(', ')}, after the warmup`,
      value: 'name',
      aliases: ['lr_scheduler_type', 'lr_schedule', 'scheduler'],
    }),
    warmup: setting({
      schema: wholeNumber({ min: 0 }),
      default: 0,
      help: 'steps over which the rate rises from 0',
      value: 'steps',
      aliases: ['warmup_steps'],
    }),
    /** Decoupled. */
    weightDecay: setting({
      schema: number({ min: 0 }),
      default: 0,
      help: 'decoupled weight decay',
      value: 'x',
    }),
    /** Largest gradient norm. */
    clip: setting({
      schema: number({ min: 0 }),
      default: 1,
      help: 'largest gradient norm; 0 for no limit',
      value: 'norm',
      aliases: ['max_grad_norm', 'grad_clip', 'max_norm'],
    }),
    checkpointing: setting({
      schema: toggle(),
      default: false,
      help: 'compute each layer again in the backward pass: less memory, more time, the same numbers',
      see: './memory#checkpointing',
      aliases: ['gradient_checkpointing', 'grad_checkpoint'],
      cost: true,
    }),
  },
);
