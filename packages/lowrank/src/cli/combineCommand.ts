import { LowrankError } from '@lowrank/errors';
import type { CombineMethod } from '@lowrank/lora';
import { combineMethods } from '@lowrank/lora';
import { number, wholeNumber } from '@lowrank/settings';
import type { Command } from 'commander';
import { combineFolders } from '../jobs/combine.js';
import type { TransferEvents } from '../jobs/folders.js';
import type { Speaker } from './io.js';
import { choiceFlag, numberFlag } from './numbers.js';

interface Weighted {
  readonly adapter: string;
  readonly weight: number;
}

export interface CombineFlags {
  adapter: Weighted[];
  output: string;
  overwrite?: boolean;
  method: CombineMethod;
  density?: number;
  majoritySign?: 'total' | 'frequency';
  rank?: number;
  seed: number;
  baseModel?: string;
  json: boolean;
}

export function addCombineFlags(command: Command): Command {
  return command
    .description('weighted adapters as one: a PEFT folder')
    .requiredOption(
      '--adapter <adapter=weight>',
      'PEFT adapter (folder, hub id or URL) and how often it counts; several; a negative weight takes it away',
      weightedFlag,
    )
    .requiredOption('--output <folder>', 'where the combined adapter goes')
    .option(
      '--method <name>',
      `${combineMethods.join(', ')}; cat is exact`,
      choiceFlag('--method', combineMethods),
      'cat',
    )
    .option(
      '--density <x>',
      'share of values that ties, dare and magnitude_prune keep',
      numberFlag('--density', number({ above: 0, max: 1 })),
    )
    .option(
      '--majority-sign <how>',
      'total or frequency: how ties and dare_ties elect signs (default: total)',
      choiceFlag('--majority-sign', ['total', 'frequency'] as const),
    )
    .option(
      '--rank <r>',
      'rank of the result, of svd and the _svd forms (default: the largest among the adapters)',
      numberFlag('--rank', wholeNumber({ min: 1 })),
    )
    .option(
      '--seed <n>',
      'seed of the values that the dare methods keep',
      numberFlag('--seed', wholeNumber({ min: 0 })),
      0,
    )
    .option('--base-model <name>', 'the base model of the result, where the adapters name different ones')
    .option('--json', 'JSON lines on stdout, the result last; sentences go to stderr', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank combine --adapter ./poet=0.7 --adapter ./clerk=0.3 --output ./both\n  $ ' +
        'lowrank combine --adapter ./new=1 --adapter ./old=-1 --method ties_svd --density 0.2 --rank 16 ' +
        '--output ./change',
    );
}

export async function combineCommand(
  { adapter: adapters, ...flags }: CombineFlags,
  speaker: Speaker,
  events: TransferEvents,
): Promise<void> {
  const result = await combineFolders({ ...flags, ...events, adapters });
  speaker.result(
    result,
    `combined ${adapters.length} ${adapters.length === 1 ? 'adapter' : 'adapters'} by ${result.method}: ` +
      `${result.layers} layers, r=${result.r}, ${result.parameters.toLocaleString('en')} parameters; saved in ` +
      `${result.adapter}`,
  );
}

/** `DIR=0.5`: what follows the last = is the weight, since folders may have one in their name. */
function weightedFlag(text: string, before: readonly Weighted[] = []): Weighted[] {
  const at = text.lastIndexOf('=');
  if (at <= 0)
    throw new LowrankError({
      code: 'cli.weight',
      what: `--adapter ${text}`,
      expected: 'an adapter, = and its weight',
      got: 'no =',
      remedy: `For example: --adapter ${text}=1`,
    });
  return [...before, { adapter: text.slice(0, at), weight: numberFlag('the weight in --adapter')(text.slice(at + 1)) }];
}
