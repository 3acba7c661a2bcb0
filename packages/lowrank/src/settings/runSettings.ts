import { defineSettings, list, setting, text, toggle, wholeNumber } from '@lowrank/settings';

/** How rows become batches. */
export const batchSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    batchSize: setting({
      schema: wholeNumber({ min: 1 }),
      default: 8,
      help: 'rows of a batch',
      value: 'rows',
      aliases: ['per_device_train_batch_size', 'batch'],
      cost: true,
    }),
    gradientAccumulation: setting({
      schema: wholeNumber({ min: 1 }),
      default: 1,
      help: 'batches of a step',
      value: 'n',
      aliases: ['gradient_accumulation_steps', 'grad_accumulation_steps', 'accumulation'],
      cost: true,
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
