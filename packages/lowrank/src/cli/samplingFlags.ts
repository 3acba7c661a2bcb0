import { number, wholeNumber } from '@lowrank/settings';
import type { Command } from 'commander';
import { numberFlag } from './numbers.js';

/** Flags of `generate` and `chat`: how tokens are drawn, and what ends a text. */
export interface SamplingFlags {
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  generationConfig: boolean;
  stop?: string[];
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
