import type { Backend } from '@lowrank/tensor';
import type { Command } from 'commander';
import { exportTargetNames, exportTargets } from '../exporting/targets/index.js';
import type { ExportTargetName } from '../exporting/targets/index.js';
import { exportRun } from '../jobs/exportRun.js';
import type { TransferEvents } from '../jobs/folders.js';
import type { Speaker } from './io.js';
import { overwriting } from './commonFlags.js';
import { choiceFlag } from './numbers.js';
import type { TrainFlags } from './trainingFlags.js';

export interface ExportFlags {
  to: ExportTargetName;
  output: string;
  overwrite?: boolean;
  json: boolean;
}

export function addExportFlags(command: Command): Command {
  command
    .description('write a run for an engine that scales it: model, rows and masks, settings, the adapter as it begins')
    .argument('<run>', 'configuration file of `lowrank train`')
    .requiredOption(
      '--to <engine>',
      exportTargetNames.map((name) => `${name} (${exportTargets[name].title})`).join(', '),
      choiceFlag('--to', exportTargetNames),
    )
    .requiredOption('--output <folder>', 'where the files for it go');
  return overwriting(command).addHelpText(
    'after',
    '\nExample:\n  $ lowrank export run.yaml --to trl --output ./trl && python ./trl/train.py\n\nThe README.md it ' +
      'writes says what to type, what will differ, and how the adapter comes back.',
  );
}

export async function exportCommand(
  flags: ExportFlags,
  run: TrainFlags,
  { backend, speaker, events }: { backend: () => Promise<Backend>; speaker: Speaker; events: TransferEvents },
): Promise<void> {
  const { to, output, overwrite } = flags;
  const { device: _, json: _2, ...options } = run;
  const result = await exportRun({ to, output, overwrite, ...events, run: { ...options, backend } });
  for (const text of result.differences) speaker.say(`differs: ${text}`);
  speaker.result(
    result,
    `${result.rows} rows and ${result.steps} steps for ${exportTargets[result.to].title} in ${result.output}; ` +
      `there: ${result.command.split('\n').at(-1)}`,
  );
}
