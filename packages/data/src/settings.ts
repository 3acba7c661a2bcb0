import { byName, choice, defineSettings, either, number, setting, text, toggle, wholeNumber } from '@lowrank/settings';
import { textSamples } from './sources/fileKind.js';

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
    columns: setting({
      schema: byName(text()),
      flag: 'column',
      text: {
        read: columnsIn,
        expected: 'a known key and the column that is it, such as prompt=question',
        kind: 'pattern',
      },
      help: "the file's own name of a known key, such as prompt=question; may be given several times",
      see: './data#columns-of-your-own',
      value: 'key=column',
      aliases: ['prompt_feature', 'completion_feature', 'chat_feature', 'text_feature', 'dataset_text_field'],
    }),
    validation: setting({
      schema: either(number({ above: 0, below: 1 }), wholeNumber({ min: 1 })),
      help: 'hold out a share of the prompts (below 1), or so many rows, to be evaluated',
      see: './data#validation',
      value: 'share',
      aliases: ['val_set_size', 'test_size', 'val_size'],
    }),
    dataMemory: setting({
      schema: wholeNumber({ min: 0 }),
      default: 64,
      help:
        'megabytes of a file whose rows are held in memory, and of prepared images (unless said, 1024); others are ' +
        'read as they are drawn',
      see: './data#files-larger-than-memory',
      value: 'MB',
      aliases: ['streaming'],
    }),
    sampleBy: setting({
      schema: choice(textSamples),
      default: 'line',
      help: 'what a row of a text file is: a line, a paragraph, or the whole file',
      see: './data#files',
      value: 'what',
    }),
    completionOnlyLoss: setting({
      schema: toggle(),
      default: true,
      help: 'learn prompts too, not their completions alone',
      see: './data#from-a-row-to-tokens',
      aliases: ['mask_prompt', 'train_on_inputs', 'train_on_prompt'],
    }),
    assistantOnlyLoss: setting({
      schema: toggle(),
      default: true,
      help: 'learn chats whole, not what assistants say alone',
      see: './data#from-a-row-to-tokens',
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

/** `prompt=question`, or several with commas between them. */
function columnsIn(given: string): Readonly<Record<string, string>> | undefined {
  const pairs = given.split(',').map((pair) => pair.split('='));
  return pairs.every(([key, column, ...more]) => more.length === 0 && !!key?.trim() && !!column?.trim())
    ? Object.fromEntries(pairs.map(([key = '', column = '']) => [key.trim(), column.trim()]))
    : undefined;
}
