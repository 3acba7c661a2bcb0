import { byName, choice, list, number, text, toggle, wholeNumber } from './schema.js';
import { defineSettings, sameAs, setting } from './setting.js';

/** A table with a setting of each kind, for tests. */
export const tested = defineSettings(
  {
    code: 'test.config',
    subject: 'the setting',
    refusedKeys: { other_method: 'Use this one.' },
    knownKeys: ['version'],
    spentKeys: { begun: 'says how it began' },
  },
  {
    rank: setting({
      schema: wholeNumber({ min: 1 }),
      default: 8,
      key: 'r',
      help: 'the rank',
      value: 'n',
      aliases: ['size'],
    }),
    alpha: setting({ schema: number({ above: 0 }), default: sameAs('rank'), key: 'lora_alpha', help: 'the factor' }),
    names: setting({ schema: list(text()), required: true, key: 'names', help: 'which: a,b', value: 'names' }),
    ranks: setting({ schema: byName(wholeNumber({ min: 1 })), default: {}, key: 'ranks', help: 'ranks of some' }),
    mode: setting({ schema: choice(['one', 'two']), key: 'mode', file: { unset: 'one' }, help: 'how' }),
    fast: setting({
      schema: toggle(),
      key: 'fast',
      file: { omitted: true },
      help: 'be fast',
      excludes: [{ setting: 'mode', is: (mode) => mode === 'two', remedy: (name) => `Leave ${name('fast')} out.` }],
    }),
    speed: setting({
      schema: number({ min: 0, below: 1 }),
      help: 'how fast',
      requires: [{ setting: 'fast', remedy: 'Be fast first.' }],
    }),
    shuffle: setting({ schema: toggle(), default: true, key: 'shuffle', help: 'take rows in file order' }),
  },
);
