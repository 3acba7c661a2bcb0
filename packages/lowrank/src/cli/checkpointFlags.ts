import type { Command } from 'commander';
import { readRecord } from '../runs/runRecord.js';
import { checkpointSettings, continueSettings, sampleSettings } from '../settings/runSettings.js';
import { addSettingFlags } from './settingFlags.js';

/** What is evaluated and saved on the way, and whether a run goes on. */
export function addCheckpointFlags(command: Command): Command {
  addSettingFlags(addSettingFlags(command, checkpointSettings), sampleSettings);
  return addSettingFlags(command, continueSettings);
}

/** With --resume: the model, the data and the method of the run that --output holds, where they are not given. */
export async function placesOfRun(command: Command): Promise<void> {
  const { resume, output } = command.opts<{ readonly resume?: boolean; readonly output?: string }>();
  if (resume !== true || output === undefined) return;
  const record = await readRecord(output);
  if (record === undefined) return;
  for (const [name, value] of Object.entries({ ...record.places, method: record.method }))
    if ([undefined, 'default'].includes(command.getOptionValueSource(name)))
      command.setOptionValueWithSource(name, value, 'run');
}
