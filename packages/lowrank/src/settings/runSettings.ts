import { metricNames, taskMetricNames } from '@lowrank/data';
import { choice, defineSettings, list, number, setting, text, toggle, wholeNumber } from '@lowrank/settings';
import { memorySize, sizeForm } from './memorySize.js';

/** Rows of a batch, and batches of a step, unless a run says otherwise. */
export const defaultBatch = { batchSize: 8, gradientAccumulation: 1 } as const;

/** How rows become batches. */
export const batchSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    batchSize: setting({
      schema: wholeNumber({ min: 1 }),
      default: defaultBatch.batchSize,
      help: 'rows of a batch',
      value: 'rows',
      aliases: ['per_device_train_batch_size', 'batch'],
      cost: true,
    }),
    gradientAccumulation: setting({
      schema: wholeNumber({ min: 1 }),
      default: defaultBatch.gradientAccumulation,
      help: 'batches of a step',
      value: 'n',
      aliases: ['gradient_accumulation_steps', 'grad_accumulation_steps', 'accumulation'],
      cost: true,
    }),
    /** The optimizer steps stay what they are: their rows in smaller micro-batches, whose gradients are accumulated. */
    autoBatch: setting({
      schema: toggle(),
      default: false,
      help: 'where memory runs out, go on with half the --batch-size and twice the --gradient-accumulation',
      see: './runs#out-of-memory',
      aliases: ['auto_find_batch_size', 'auto_batch_size'],
      changeable: true,
    }),
    /** Decides `checkpointing`, by plans. */
    memoryBudget: setting({
      schema: wholeNumber({ min: 1 }),
      text: { read: memorySize, expected: sizeForm, kind: 'memory' },
      help: 'compute as few layers twice as it takes for a step to fit so much memory (such as 2GB)',
      see: './memory#a-budget',
      value: 'size',
      aliases: ['max_memory'],
      excludes: [
        {
          setting: 'checkpointing',
          is: (checkpointing) => checkpointing === true,
          remedy: (names) =>
            `Leave ${names('checkpointing')} out: the budget decides how many layers are computed twice.`,
        },
      ],
      cost: true,
      changeable: true,
    }),
    seed: setting({
      schema: wholeNumber({ min: 0 }),
      default: 0,
      help: 'of shuffling, dropout and what begins at random',
      value: 'n',
    }),
    shuffle: setting({ schema: toggle(), default: true, help: 'take rows in file order, wrapping' }),
    packing: setting({
      schema: toggle(),
      default: true,
      help: 'pad rows to one length instead of laying them one after another',
      cost: true,
    }),
    groupByLength: setting({
      schema: toggle(),
      default: false,
      help: 'draw rows of like length together: less padding with --no-packing',
      see: './data#batches',
      aliases: ['length_grouped_sampling', 'train_sampling_strategy'],
    }),
  },
);

/** What is evaluated and saved while a run is under way, and when it ends. */
export const checkpointSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    evaluateEvery: setting({
      schema: wholeNumber({ min: 1 }),
      flag: 'eval-every',
      help: 'evaluate after every so many steps, and after the last',
      see: './runs#evaluation',
      value: 'steps',
      otherwise: 'once, at the end',
      aliases: ['eval_every', 'eval_steps', 'steps_per_eval'],
      changeable: true,
    }),
    /** Scores of each evaluation beside the loss; the first one decides which is the best. */
    evaluationMetrics: setting({
      schema: list(choice([...metricNames, ...taskMetricNames])),
      flag: 'eval-metric',
      help:
        `metrics of each evaluation: ${metricNames.join(', ')}; of a task’s rows ${taskMetricNames.join(', ')}; ` +
        'the first decides which one is the best',
      see: './runs#evaluation',
      value: 'names',
      otherwise: 'the loss',
      aliases: ['metric_for_best_model', 'eval_metrics', 'eval_metric'],
    }),
    evaluationPrompts: setting({
      schema: wholeNumber({ min: 1 }),
      flag: 'eval-prompts',
      help: 'most distinct prompts that --eval-metric is over',
      see: './runs#evaluation',
      value: 'n',
      otherwise: '64',
      requires: [{ setting: 'evaluationMetrics' }],
    }),
    earlyStopping: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'end after so many evaluations in a row without a new best one',
      see: './runs#early-stopping',
      value: 'n',
      otherwise: 'never',
      aliases: ['early_stopping_patience', 'patience'],
      requires: [{ setting: 'evaluateEvery' }],
      changeable: true,
    }),
    saveEvery: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'save a checkpoint after every so many steps, and after the last',
      see: './runs#checkpoints',
      value: 'steps',
      otherwise: 'only when interrupted',
      aliases: ['save_steps'],
      changeable: true,
    }),
    saveEveryMinutes: setting({
      schema: number({ above: 0 }),
      help: 'save a checkpoint after every so many minutes, and after the last step',
      see: './runs#checkpoints',
      value: 'minutes',
      changeable: true,
    }),
    keepLast: setting({
      schema: wholeNumber({ min: 1 }),
      help: 'checkpoints that are kept, beside the best one',
      see: './runs#checkpoints',
      value: 'k',
      otherwise: 'all',
      aliases: ['save_total_limit'],
      changeable: true,
    }),
    /**
     * What is saved at the end are the weights with the lowest evaluation loss, as transformers' option of that name.
     */
    loadBestModelAtEnd: setting({
      schema: toggle(),
      default: false,
      help: 'end with the weights of the best evaluation, not with those of the last step',
      see: './runs#the-best-checkpoint',
      aliases: ['load_best', 'best'],
      requires: [{ setting: 'evaluateEvery' }],
      changeable: true,
    }),
  },
);

/** What a run shows at its end of what was learned. */
export const sampleSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    samples: setting({
      schema: wholeNumber({ min: 0 }),
      default: 3,
      help: 'held-out prompts that are answered at the end, by the base and by what was learned; 0 for none',
      see: './runs#what-was-learned',
      value: 'n',
      changeable: true,
    }),
  },
);

/** What becomes of a run that --output holds. */
export const continueSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    resume: setting({
      schema: toggle(),
      help: 'go on with the run that --output holds from its last checkpoint; settings that are not given are its own',
      see: './runs#resume',
      otherwise: 'where it is unfinished',
      aliases: ['resume_from_checkpoint'],
      excludes: [{ setting: 'overwrite' }],
    }),
  },
);

/** What becomes of what the output holds. */
export const outputSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    overwrite: setting({
      schema: toggle(),
      default: false,
      help: 'replace the adapter, model or run that --output holds, once the new one is whole',
      aliases: ['overwrite_output_dir', 'force'],
    }),
  },
);

/** Of a run that gives its model tokens. */
export const tokenSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    addTokens: setting({
      schema: list(text()),
      help: 'tokens that the tokenizer gets, and the model rows for, which begin as the mean of the others: a,b',
      see: './adapters#new-tokens',
      value: 'tokens',
      aliases: ['new_tokens', 'additional_tokens'],
      excludes: [{ setting: 'initAdapter', remedy: () => 'Add all tokens when the adapter is begun.' }],
    }),
  },
);

/** What a run goes on from. */
export const resumeSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    /** PEFT folder, hub id or URL. */
    initAdapter: setting({
      schema: text(),
      help: 'go on from this adapter; its rank, alpha and targets hold',
      value: 'adapter',
      onResume: 'free',
    }),
  },
);
