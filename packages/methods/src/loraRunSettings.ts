import { defineSettings, either, list, number, setting, text, wholeNumber } from '@lowrank/settings';

/** What goes with LoRA in training, and is no part of its configuration. */
export const loraRunSettings = defineSettings(
  { code: 'methods.settings', subject: 'the setting' },
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
      help: 'LoRA+: ratio of B’s learning rate to A’s',
      see: './adapters#variants',
      value: 'x',
      otherwise: '1',
      aliases: ['loraplus_lr_ratio'],
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
