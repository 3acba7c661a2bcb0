import type { Command } from 'commander';
import type { TransferEvents } from '../jobs/folders.js';
import { initRun } from '../jobs/initRun.js';
import { modelHelp, overwriting } from './commonFlags.js';
import type { Speaker } from './io.js';
import { memoryFlag } from './planCommand.js';

export interface InitFlags {
  model: string;
  data: string;
  output: string;
  memory?: number;
  overwrite?: boolean;
  json: boolean;
}

export function addInitFlags(command: Command): Command {
  command
    .description('look at a model and a data file, and write a commented configuration file for `lowrank train`')
    .requiredOption('--model <model>', modelHelp)
    .requiredOption('--data <file>', 'rows, as `train` takes them')
    .option('--output <file>', 'the file to write', 'run.yaml')
    .option('--memory <size>', 'room on the device, such as 8GB: the run is made to fit', memoryFlag);
  return overwriting(command).addHelpText(
    'after',
    '\nExample:\n  $ lowrank init --model ./llama --data rows.jsonl && lowrank train run.yaml',
  );
}

export async function initCommand(flags: InitFlags, speaker: Speaker, events: TransferEvents): Promise<void> {
  const { json: _, ...options } = flags;
  const result = await initRun({ ...options, ...events });
  speaker.result(
    result,
    `${result.output} is written: look at it, then \`lowrank train ${result.output}\` ` +
      `(${(result.peak_bytes / 1e9).toFixed(2)} GB on the device)`,
  );
}
