import { defineSettings, either, list, number, setting, text, toggle, wholeNumber } from '@lowrank/settings';

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

/** What goes with LoRA in training, and is no part of its configuration. */
export const loraRunSettings = defineSettings(
  { code: 'cli.settings', subject: 'the setting' },
  {
    /** Tokens whose rows of the embedding are trained: ids, or their text. */
    trainableTokens: setting({
      schema: list(either(wholeNumber({ min: 0 }), text())),
      help: 'tokens whose rows of the embedding are trained: ids or their text, 5,<tok>, or a JSON list',
      see: './adapters#beside-a-and-b',
      value: 'tokens',
      text: {
        read: readTokens,
        expected: 'token ids or texts, such as 5,<tok> or ["a,b", 7]',
        kind: 'tokens',
      },
      cost: true,
    }),
    /** LoRA+: B learns so many times as fast as A. */
    loraPlusRatio: setting({
      schema: number({ above: 0 }),
      help: 'LoRA+: B learns so many times as fast as A',
      see: './adapters#variants',
      value: 'x',
      otherwise: '1',
      aliases: ['loraplus_lr_ratio'],
      onResume: 'free',
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

/** `5,<tok>`, or a JSON list for tokens that have a comma or digits alone; undefined for anything else. */
function readTokens(given: string): (number | string)[] | undefined {
  const tokens = given.trim().startsWith('[') ? jsonList(given) : plainList(given);
  const fits = (token: unknown): boolean =>
    (typeof token === 'string' && token !== '') || (Number.isSafeInteger(token) && Number(token) >= 0);
  return tokens.length > 0 && tokens.every(fits) ? (tokens as (number | string)[]) : undefined;
}

function jsonList(given: string): unknown[] {
  try {
    const list: unknown = JSON.parse(given);
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function plainList(given: string): (number | string)[] {
  const names = given.split(',').map((name) => name.trim());
  return names.filter((name) => name !== '').map((name) => (/^\d+$/.test(name) ? Number(name) : name));
}
