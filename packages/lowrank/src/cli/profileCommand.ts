import type { Command } from 'commander';
import { wholeNumber } from '@lowrank/settings';
import { claimOutput, saveTogether } from '@lowrank/files';
import { chromeTrace, describeProfile, profilePage } from '@lowrank/study';
import type { Backend } from '@lowrank/tensor';
import { profileFineTune } from '../jobs/profiling/profile.js';
import type { ProfileOptions } from '../jobs/profiling/profile.js';
import type { ComputingFlags } from './commonFlags.js';
import type { Speaker } from './io.js';
import { numberFlag } from './numbers.js';
import { addPlannedFlags } from './planCommand.js';

export interface ProfileFlags extends Omit<ProfileOptions, 'backend'>, ComputingFlags {
  output?: string;
  overwrite?: boolean;
}

export function addProfileFlags(command: Command): Command {
  command.description(
    'where the time of a training step goes, kernel by kernel, on this device; without weights (the step of `plan` ' +
      'runs over made-up numbers)',
  );
  return addPlannedFlags(command)
    .option(
      '--output <folder>',
      'where profile.html, profile.json and trace.json (for chrome://tracing and Perfetto) go',
    )
    .option(
      '--repeats <n>',
      'runs of the step; of each kernel the shortest time counts',
      numberFlag('--repeats', wholeNumber({ min: 1 })),
      3,
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ lowrank profile --config SmolLM2-135M --target-modules all-linear --batch-size 8 ' +
        '--max-length 512 --output ./profile',
    );
}

export async function profileCommand(
  { output, overwrite, ...options }: ProfileFlags,
  { backend, speaker }: { readonly backend: () => Promise<Backend>; readonly speaker: Speaker },
): Promise<void> {
  const claim = output === undefined ? undefined : await claimOutput(output, { overwrite, inputs: [] });
  try {
    const { report, launches } = await profileFineTune({ ...options, backend });
    if (claim !== undefined)
      await saveTogether(claim.beginSaving('profile.json'), async (saving) => {
        await saving.write('profile.html', profilePage(report));
        await saving.write('trace.json', chromeTrace(launches, report.device));
        await saving.write('profile.json', `${JSON.stringify(report)}\n`);
      });
    speaker.result(report, describeProfile(report));
  } finally {
    await claim?.discard();
  }
}
