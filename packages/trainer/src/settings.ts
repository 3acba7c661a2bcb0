import { choice, defineSettings, either, number, setting, toggle, wholeNumber } from '@lowrank/settings';
import { precisions } from '@lowrank/tensor/backend';
import { nanRules } from './nanRules.js';
import { spikeRules } from './spikes.js';
import { optimizerNamed, optimizers } from './optimizers/index.js';
import { describeSchedule, schedules } from './schedule.js';

const stepsOrShare = either(wholeNumber({ min: 0 }), number({ min: 0, below: 1 }));
const stepsText = {
  read: (given: string): number | undefined => (/^\d*\.?\d+(?:e-?\d+)?$/i.test(given) ? Number(given) : undefined),
  expected: 'a whole number of steps, or a share of them below 1',
  kind: 'number',
};

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
      changeable: true,
    }),
    /** Times through the data, in place of steps: ⌈epochs · rows / rows of a step⌉ steps. */
    epochs: setting({
      schema: number({ above: 0 }),
      help: 'times through the data, instead of --steps',
      value: 'n',
      aliases: ['num_train_epochs'],
      excludes: [{ setting: 'steps' }],
      changeable: true,
    }),
    /** The rate at the end of the warmup. */
    learningRate: setting({
      schema: number({ min: 0 }),
      default: 2e-4,
      help: 'peak learning rate',
      value: 'x',
      aliases: ['lr', 'rate'],
    }),
    optimizer: setting({
      schema: choice(optimizers),
      default: 'adamw',
      help: optimizers.map((name) => `${name} (${optimizerNamed(name).help})`).join(', '),
      see: './packages/trainer#optimizers',
      value: 'name',
      aliases: ['optim'],
      cost: true,
    }),
    beta1: setting({
      schema: number({ min: 0, below: 1 }),
      help: 'decay of the mean of gradients, of AdamW and Lion',
      value: 'x',
      otherwise: '0.9',
      aliases: ['adam_beta1', 'betas'],
    }),
    beta2: setting({
      schema: number({ min: 0, below: 1 }),
      help: 'decay of the mean of squared gradients (AdamW), or of the momentum (Lion)',
      value: 'x',
      otherwise: '0.999; 0.99 for Lion',
      aliases: ['adam_beta2'],
    }),
    epsilon: setting({
      schema: number({ above: 0 }),
      help: "added to AdamW's divisor",
      value: 'x',
      otherwise: '1e-8',
      aliases: ['adam_epsilon', 'eps'],
    }),
    momentum: setting({
      schema: number({ min: 0, below: 1 }),
      help: 'momentum of SGD and Muon',
      value: 'x',
      otherwise: '0.9; 0.95 for Muon',
    }),
    nesterov: setting({
      schema: toggle(),
      help: 'Nesterov momentum of SGD; Muon always has it unless this is false',
    }),
    schedule: setting({
      schema: choice(schedules),
      default: 'constant',
      help: `${schedules.map(describeSchedule).join(', ')}: after the warmup`,
      see: './packages/trainer#schedules',
      value: 'name',
      aliases: ['lr_scheduler_type', 'lr_schedule', 'scheduler'],
    }),
    warmup: setting({
      schema: stepsOrShare,
      text: stepsText,
      default: 0,
      help: 'steps over which the rate rises from 0; below 1, a share of all steps',
      value: 'steps',
      aliases: ['warmup_steps', 'warmup_ratio'],
    }),
    minLearningRateRatio: setting({
      schema: number({ min: 0, max: 1 }),
      help: 'the lowest rate as a share of the peak, of cosine_with_min_lr and warmup_stable_decay',
      value: 'x',
      otherwise: '0.1; 0 for warmup_stable_decay',
      aliases: ['min_lr_rate', 'min_lr_ratio', 'min_lr'],
    }),
    cycles: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'how often cosine_with_restarts falls from the peak to 0',
      value: 'n',
      otherwise: '1',
      aliases: ['num_cycles'],
    }),
    decaySteps: setting({
      schema: stepsOrShare,
      text: stepsText,
      help: 'the last steps of warmup_stable_decay, over which the rate falls; below 1, a share of all steps',
      value: 'steps',
      otherwise: '0.1',
      aliases: ['num_decay_steps'],
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
    /** What becomes of a step whose loss or gradient is NaN or infinite. */
    onNan: setting({
      schema: choice(nanRules),
      default: 'stop',
      help: 'after a loss or gradient that is NaN or infinite: stop, or skip the batch and go on',
      see: './runs#nan-and-infinity',
      value: 'rule',
      aliases: ['nan'],
      changeable: true,
    }),
    /** What becomes of a step whose loss is far above those before it. */
    onSpike: setting({
      schema: choice(spikeRules),
      default: 'ignore',
      help: 'after a loss far above those before it: go on, go back to the last snapshot, or stop',
      see: './runs#loss-spikes',
      value: 'rule',
      changeable: true,
    }),
    spikeFactor: setting({
      schema: number({ above: 1 }),
      help: 'times the median of the last 50 losses, from which on a loss may be a spike',
      see: './runs#loss-spikes',
      value: 'x',
      otherwise: '3',
      changeable: true,
      requires: [{ setting: 'onSpike', is: (rule) => rule !== 'ignore', values: 'rollback or stop' }],
    }),
    snapshotEvery: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'keep the state in host memory after every so many steps, for a lost device or a loss spike to go back to',
      see: './runs#snapshots',
      value: 'steps',
      otherwise: 'never; 20 with --on-spike rollback',
      changeable: true,
    }),
    /** What matrix products round their operands to. */
    precision: setting({
      schema: choice(precisions),
      help:
        'f32, or mixed: matrix products of 16-bit operands with f32 sums, on the GPU’s matrix units where it has ' +
        'them, and activations in 16 bits; all else, adapters and optimizer included, stays f32',
      see: './devices#precision',
      value: 'name',
      otherwise: 'f32',
      aliases: ['fp16', 'mixed_precision', 'half_precision'],
      cost: true,
    }),
    neftuneAlpha: setting({
      schema: number({ min: 0 }),
      default: 0,
      help: 'noise on the token embeddings while training (NEFTune): 5 is usual',
      see: './packages/trainer#losses',
      value: 'alpha',
      aliases: ['neftune_noise_alpha', 'neftune'],
    }),
    checkpointing: setting({
      schema: toggle(),
      default: false,
      help: 'compute each layer again in the backward pass: less memory, more time, the same numbers',
      see: './memory#checkpointing',
      aliases: ['gradient_checkpointing', 'grad_checkpoint'],
      cost: true,
      changeable: true,
    }),
  },
);
