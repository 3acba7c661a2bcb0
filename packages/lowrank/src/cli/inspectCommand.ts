import type { Command } from 'commander';
import type { TransferEvents } from '../jobs/folders.js';
import { inspectFolder } from '../jobs/inspect.js';
import { describeAdapter } from './describeAdapter.js';
import type { Speaker } from './io.js';

export interface InspectFlags {
  adapter: string;
  json: boolean;
}

export function addInspectFlags(command: Command): Command {
  return command
    .description('what an adapter is, what base model it wants, and what it does to each layer')
    .requiredOption('--adapter <adapter>', 'PEFT adapter: folder, hub id or URL')
    .option('--json', 'JSON lines on stdout, the result last; sentences go to stderr', false)
    .addHelpText('after', '\nExample:\n  $ lowrank inspect --adapter ./adapter');
}

export async function inspectCommand(
  { adapter }: InspectFlags,
  speaker: Speaker,
  events: TransferEvents,
): Promise<void> {
  const report = await inspectFolder({ adapter, ...events });
  speaker.result(report, describeAdapter(report));
}
