import { defineSettings, setting, text, wholeNumber } from '@lowrank/settings';

/** Settings of how rows are read. */
export const dataSettings = defineSettings(
  { code: 'data.settings', subject: 'the data setting' },
  {
    completionAfter: setting({
      schema: text(),
      help: 'rows of text are completions behind the last occurrence of this: the loss is on what follows',
      see: './data#completions-behind-a-marker',
      value: 'text',
      aliases: ['response_template'],
    }),
    template: setting({
      schema: text(),
      help: 'chat template in Jinja for rows of messages',
      see: './chat',
      value: 'file',
      otherwise: "the model's",
      aliases: ['chat_template'],
    }),
    /** Tokens kept of a row. */
    maxLength: setting({
      schema: wholeNumber({ min: 2 }),
      help: 'tokens kept of a row',
      value: 'tokens',
      otherwise: "the model's context",
      aliases: ['max_seq_length', 'max_seq_len', 'cutoff_len'],
      cost: true,
    }),
  },
);
