import { LowrankError } from '@lowrank/errors';
import type { LoraInit } from '@lowrank/lora';
import { isLoraInit, loraInits } from '@lowrank/lora';
import type { Command } from 'commander';
import { biasModes } from '../jobs/variantFlags.js';
import { choiceFlag, listFlag, numberFlag } from './numbers.js';

/** The flags of `train` for what kind of adapter is made. */
export function addVariantFlags(command: Command): Command {
  return command
    .option(
      '--init-lora-weights <name>',
      `${loraInits.join(', ')} or pissa_niter_N: how new adapters begin; loftq takes up what --quantization ` +
        'loses, eva goes by the data (default: kaiming)',
      initFlag,
    )
    .option('--use-rslora', 'the adapters count alpha/√r times')
    .option('--use-dora', 'DoRA: train magnitudes and directions apart')
    .option('--lora-bias', 'B has a bias')
    .option(
      '--bias <mode>',
      `${biasModes.join(', ')}: biases of the model that are trained along (default: none)`,
      choiceFlag('--bias', biasModes),
    )
    .option('--rank-pattern <json>', 'ranks of single layers: {"down_proj": 16}', patternFlag('--rank-pattern'))
    .option('--alpha-pattern <json>', 'alphas of single layers: {"down_proj": 32}', patternFlag('--alpha-pattern'))
    .option(
      '--exclude-modules <names>',
      'layers that get none, though they are named: a,b',
      listFlag('--exclude-modules'),
    )
    .option('--layers-to-transform <numbers>', 'only in these layers: 0,1', (text) =>
      listFlag('--layers-to-transform')(text).map(numberFlag('--layers-to-transform', { whole: true, min: 0 })),
    )
    .option(
      '--eva-rho <x>',
      'with eva: a layer gets at most so many times its rank, another less (default: 2)',
      numberFlag('--eva-rho', { min: 1 }),
    )
    .option(
      '--eva-batches <n>',
      'with eva: batches of rows that it looks at (default: 32)',
      numberFlag('--eva-batches', { whole: true, min: 1 }),
    )
    .option(
      '--modules-to-save <names>',
      'modules that are trained and saved whole, by the ends of their paths: lm_head,embed_tokens',
      listFlag('--modules-to-save'),
    )
    .option(
      '--trainable-tokens <tokens>',
      'tokens whose rows of the embedding are trained: ids or their text, 5,<tok>, or a JSON list',
      tokensFlag('--trainable-tokens'),
    )
    .option(
      '--ensure-weight-tying',
      'an embedding and an output projection that are one stay one when they are trained whole',
    )
    .option(
      '--lora-plus-ratio <x>',
      'LoRA+: B learns so many times as fast as A',
      numberFlag('--lora-plus-ratio', { above: 0 }),
    );
}

/** PEFT calls the default `true`. */
function initFlag(text: string): LoraInit {
  const name = text === 'true' ? 'kaiming' : text;
  if (isLoraInit(name)) return name;
  throw new LowrankError({
    code: 'cli.choice',
    what: '--init-lora-weights',
    expected: `${loraInits.join(', ')} or pissa_niter_N`,
    got: text === '' ? 'nothing' : text,
  });
}

/** `5,<tok>`, or a JSON list for tokens that have a comma or digits alone. */
export function tokensFlag(flag: string): (text: string) => (number | string)[] {
  return (text) => {
    const list = text.trim().startsWith('[') ? parsed(text) : undefined;
    const tokens: unknown[] =
      list === undefined
        ? listFlag(flag)(text).map((token) => (/^\d+$/.test(token) ? Number(token) : token))
        : Array.isArray(list)
          ? list
          : [];
    if (
      tokens.length > 0 &&
      tokens.every(
        (token) => (typeof token === 'string' && token !== '') || (Number.isSafeInteger(token) && Number(token) >= 0),
      )
    )
      return tokens as (number | string)[];
    throw new LowrankError({
      code: 'cli.tokens',
      what: flag,
      expected: 'token ids or texts, such as 5,<tok> or ["a,b", 7]',
      got: text === '' ? 'nothing' : text,
    });
  };
}

function patternFlag(flag: string): (text: string) => Record<string, number> {
  return (text) => {
    const value = parsed(text);
    if (
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      Object.values(value).every((item) => typeof item === 'number')
    )
      return value as Record<string, number>;
    throw new LowrankError({
      code: 'cli.pattern',
      what: flag,
      expected: 'a JSON object of numbers by name, such as {"down_proj": 16}',
      got: text === '' ? 'nothing' : text,
    });
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
