import { LowrankError } from '@lowrank/errors';
import type { Command } from 'commander';
import { conversions, convertFolders } from '../jobs/convert.js';
import type { ConvertOptions, ConvertResult } from '../jobs/convert.js';
import type { TransferEvents } from '../jobs/folders.js';
import { importMlxFolder } from '../jobs/importMlx.js';
import type { Speaker } from './io.js';
import { choiceFlag } from './numbers.js';

export interface ConvertFlags extends Omit<ConvertOptions, 'to' | 'model'> {
  readonly from?: 'mlx';
  readonly to?: ConvertOptions['to'];
  readonly model?: string;
  readonly json: boolean;
}

export function addConvertFlags(command: Command): Command {
  return command
    .description(
      "write an adapter, or a model with or without one merged in, as a file for llama.cpp; or mlx-lm's " +
        'adapter as one of PEFT',
    )
    .option(
      '--from <format>',
      'mlx: an adapter folder of mlx-lm, to be written as a PEFT folder',
      choiceFlag('--from', ['mlx'] as const),
    )
    .option('--to <format>', `${conversions.join(', ')}; wanted without --from`, choiceFlag('--to', conversions))
    .option(
      '--model <model>',
      "the model, or the adapter's base model: folder, hub id or URL; with --from mlx its name alone",
    )
    .option('--adapter <adapter>', 'PEFT adapter, which is converted alone; or that of mlx-lm')
    .option('--merge', 'convert the model, with the adapter merged in')
    .requiredOption('--output <path>', 'the file to write; with --from mlx the folder')
    .option(
      '--dtype <name>',
      "f16 or f32, of a model's matrices (default: f16)",
      choiceFlag('--dtype', ['f16', 'f32'] as const),
    )
    .option('--pre-tokenizer <name>', "llama.cpp's name for how the tokenizer splits text, where it is not known")
    .addHelpText(
      'after',
      '\nExamples:\n  $ lowrank convert --to gguf --model ./llama --adapter ./adapter --output ' +
        'adapter.gguf\n  $ lowrank convert --to gguf --model ./llama --adapter ./adapter --merge --output ' +
        'model.gguf\n  $ lowrank convert --from mlx --adapter ./adapters --model owner/base --output ./adapter',
    );
}

export async function convertCommand(flags: ConvertFlags, speaker: Speaker, events: TransferEvents): Promise<void> {
  const result =
    flags.from === 'mlx'
      ? await fromMlx(flags)
      : await convertFolders({
          ...flags,
          to: given('--to', flags.to),
          model: given('--model', flags.model),
          ...events,
        });
  speaker.result(
    result,
    `wrote ${result.output}: ${result.kind === 'adapter' ? 'an adapter' : 'a model'} of ${result.tensors} ` +
      `tensors, ${(result.bytes / 1e6).toFixed(1)} MB`,
  );
}

function fromMlx({ to, merge, dtype, preTokenizer, adapter, ...flags }: ConvertFlags): Promise<ConvertResult> {
  for (const [flag, value] of Object.entries({
    '--to': to,
    '--merge': merge,
    '--dtype': dtype,
    '--pre-tokenizer': preTokenizer,
  })) {
    if (value !== undefined)
      throw new LowrankError({
        code: 'cli.conflict',
        what: `${flag} with --from mlx`,
        expected: 'no such flag',
        got: String(value),
        remedy: 'What comes out is a PEFT folder in f32; convert that further.',
      });
  }
  return importMlxFolder({ ...flags, adapter: given('--adapter', adapter) });
}

/** A flag that only some conversions want. */
function given<Value>(flag: string, value: Value | undefined): Value {
  if (value === undefined)
    throw new LowrankError({
      code: 'cli.usage',
      what: flag,
      expected: 'a value',
      got: 'nothing',
      remedy: 'See `lowrank convert --help`.',
    });
  return value;
}
