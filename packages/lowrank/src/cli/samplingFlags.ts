import { number, wholeNumber } from '@lowrank/settings';
import type { Command } from 'commander';
import { kvCaches } from '@lowrank/models';
import type { KvCache } from '@lowrank/models';
import { choiceFlag, numberFlag } from './numbers.js';

/** Flags of `generate` and `chat`: how tokens are drawn, what ends a text, and how what was read is kept. */
export interface SamplingFlags {
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  generationConfig: boolean;
  stop?: string[];
  kvCache?: KvCache;
  seed: number;
}

/** @param defaults where neither a flag nor the model's generation_config.json says */
export function addSamplingFlags(
  command: Command,
  defaults: { readonly temperature: number; readonly topP: number },
): Command {
  const whole = (flag: string, min: number): ((text: string) => number) => numberFlag(flag, wholeNumber({ min }));
  return command
    .option(
      '--temperature <x>',
      `0 takes the likeliest token each time (default: the model's, else ${defaults.temperature})`,
      numberFlag('--temperature', number({ min: 0 })),
    )
    .option(
      '--top-k <n>',
      "sample from the n likeliest tokens; 0 for all (default: the model's, else 0)",
      whole('--top-k', 0),
    )
    .option(
      '--top-p <x>',
      'sample from the smallest set of likeliest tokens whose probabilities reach x; 1 for all ' +
        `(default: the model's, else ${defaults.topP})`,
      numberFlag('--top-p', number({ above: 0, max: 1 })),
    )
    .option(
      '--min-p <x>',
      "sample from tokens at least x times as likely as the likeliest; 0 for all (default: the model's, else 0)",
      numberFlag('--min-p', number({ min: 0, max: 1 })),
    )
    .option(
      '--repetition-penalty <x>',
      'divides the positive logits of tokens that the text has already, multiplies the negative ones; 1 for none ' +
        "(default: the model's, else 1)",
      numberFlag('--repetition-penalty', number({ above: 0 })),
    )
    .option(
      '--stop <text>',
      'ends the text before this string, in which \\n and \\t mean what they usually mean; may be given several times',
      stopFlag,
    )
    .option(
      '--kv-cache <type>',
      `${kvCaches.join(' or ')}: what the keys and values of the text are kept in; f16 takes half the memory, and ` +
        'half of what each token reads of it (default: f16 in mixed precision, else f32)',
      choiceFlag('--kv-cache', kvCaches),
    )
    .option('--no-generation-config', "leaves what the model's generation_config.json says of texts aside, but for EOS")
    .option('--seed <n>', 'seed of the sampling', whole('--seed', 0), 0);
}

/** Collects what is given several times. */
export function listOf(text: string, before?: string[]): string[] {
  return [...(before ?? []), text];
}

function stopFlag(text: string, before?: string[]): string[] {
  const letters: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };
  return listOf(
    text.replace(/\\(.)/g, (_, letter: string) => letters[letter] ?? letter),
    before,
  );
}
