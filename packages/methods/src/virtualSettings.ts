import { choice, defineSettings, setting, text, wholeNumber } from '@lowrank/settings';

/** PEFT has no default; its examples take 20. */
export const defaultVirtualTokens = 20;

const virtualTokens = setting({
  schema: wholeNumber({ min: 1 }),
  default: defaultVirtualTokens,
  key: 'num_virtual_tokens',
  help: 'virtual tokens before every document',
  value: 'n',
  aliases: ['num_virtual_tokens'],
  cost: true,
  onResume: 'same',
});

/** What the flag takes: of either method. */
const virtualInits = ['random', 'vocab', 'zero'] as const;

/** Settings of prompt tuning. */
export const promptSettings = defineSettings(
  { code: 'methods.settings', subject: 'the prompt tuning setting' },
  {
    /** P. */
    virtualTokens,
    /** Standard normal, PEFT's default, or the embeddings of tokens drawn from the vocabulary. */
    virtualInit: setting({
      schema: choice(['random', 'vocab']),
      default: 'random',
      help: 'their initial values: random, vocab (prompt only) or zero (prefix only)',
      see: './methods#prompt-tuning',
      value: 'name',
      flagSchema: choice(virtualInits),
      excludes: [{ setting: 'promptInitText' }],
    }),
    /** Begins as the embeddings of this text, as often as it takes to fill P. */
    promptInitText: setting({
      schema: text(),
      help: 'initialize them with the embeddings of this text',
      value: 'text',
      aliases: ['prompt_tuning_init_text'],
    }),
  },
);

/** Settings of prefix tuning. */
export const prefixSettings = defineSettings(
  { code: 'methods.settings', subject: 'the prefix tuning setting' },
  {
    /** P. */
    virtualTokens,
    /** Normal with a small deviation, or zero. */
    virtualInit: setting({
      schema: choice(['random', 'zero']),
      default: 'random',
      help: 'their initial values: random, vocab (prompt only) or zero (prefix only)',
      see: './methods#prefix-tuning',
      value: 'name',
      flagSchema: choice(virtualInits),
    }),
  },
);
