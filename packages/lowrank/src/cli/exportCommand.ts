import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import { exportTargetNames, exportTargets } from '../exporting/targets/index.js';
import type { ExportTargetName } from '../exporting/targets/index.js';
import { exportRun } from '../jobs/exportRun.js';
import type { TransferEvents } from '../jobs/folders.js';
import type { RunToExport } from '../jobs/runToExport.js';
import type { Speaker } from './io.js';
import { overwriting } from './commonFlags.js';
import { choiceFlag } from './numbers.js';

export interface ExportFlags {
  to: ExportTargetName;
  output: string;
  overwrite?: boolean;
  anew: boolean;
  json: boolean;
}

export function addExportFlags(command: Command): Command {
  command
    .description('write a run for an engine that scales it: model, rows and masks, settings, the adapter so far')
    .argument('<run>', 'configuration file of `lowrank train`, or the folder of a run')
    .requiredOption(
      '--to <engine>',
      exportTargetNames.map((name) => `${name} (${exportTargets[name].title})`).join(', '),
      choiceFlag('--to', exportTargetNames),
    )
    .requiredOption('--output <folder>', 'where the files for it go');
  command.option('--anew', 'of a run folder: from its beginning, without what was learned', false);
  return overwriting(command).addHelpText(
    'after',
    '\nExample:\n  $ lowrank export run.yaml --to trl --output ./trl && python ./trl/train.py\n\nThe README.md it ' +
      'writes says what to type, what will differ, and how the adapter comes back.',
  );
}

export async function exportCommand(
  flags: ExportFlags,
  { options, sofar }: RunToExport,
  { backend, speaker, events }: { backend: () => Promise<Backend>; speaker: Speaker; events: TransferEvents },
): Promise<void> {
  const { to, output, overwrite } = flags;
  const run = { ...options, backend };
  const result = await exportRun({ to, output, overwrite, ...events, run, sofar: flags.anew ? undefined : sofar });
  for (const text of result.differences) speaker.say(`differs: ${text}`);
  speaker.result(
    result,
    `${result.rows} rows and ${result.steps} steps for ${exportTargets[result.to].title} in ${result.output}; ` +
      `there: ${result.command.split('\n').at(-1)}`,
  );
}
