import type { Command } from 'commander';
import { conversions, convertFolders } from '../jobs/convert.js';
import type { ConvertOptions } from '../jobs/convert.js';
import type { TransferEvents } from '../jobs/folders.js';
import type { Speaker } from './io.js';
import { choiceFlag } from './numbers.js';

export interface ConvertFlags extends ConvertOptions {
  readonly json: boolean;
}

export function addConvertFlags(command: Command): Command {
  return command
    .description('write an adapter, or a model with or without one merged in, as a file for llama.cpp')
    .requiredOption('--to <format>', conversions.join(', '), choiceFlag('--to', conversions))
    .requiredOption('--model <model>', "the model, or the adapter's base model: folder, hub id or URL")
    .option('--adapter <adapter>', 'PEFT adapter, which is converted alone')
    .option('--merge', 'convert the model, with the adapter merged in')
    .requiredOption('--output <file>', 'the file to write')
    .option('--dtype <name>', "f16 or f32, of a model's matrices (default: f16)", choiceFlag('--dtype', ['f16', 'f32'] as const))
    .option('--pre-tokenizer <name>', "llama.cpp's name for how the tokenizer splits text, where it is not known")
    .addHelpText('after', '\nExamples:\n  $ lowrank convert --to gguf --model ./llama --adapter ./adapter --output adapter.gguf\n  $ lowrank convert --to gguf --model ./llama --adapter ./adapter --merge --output model.gguf');
}

export async function convertCommand(flags: ConvertFlags, speaker: Speaker, events: TransferEvents): Promise<void> {
  const result = await convertFolders({ ...flags, ...events });
  speaker.result(result, `wrote ${result.output}: ${result.kind === 'adapter' ? 'an adapter' : 'a model'} of ${result.tensors} tensors, ${(result.bytes / 1e6).toFixed(1)} MB`);
}
