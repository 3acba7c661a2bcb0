import { LowrankError } from '@lowrank/errors';
import type { Disk } from '@lowrank/files';
import { checkpointSteps } from './checkpointFolders.js';
import type { RunRecord } from './runRecord.js';
import { readRecord } from './runRecord.js';

/** A run that can go on. */
export interface FoundRun {
  readonly record: RunRecord;
  /** Its last checkpoint; undefined where it has none, so that it begins anew. */
  readonly step: number | undefined;
}

/**
 * The run in a folder that is to go on: an unfinished one, or with `resume` a finished one too, which may get more
 * steps. Undefined where the folder holds none.
 *
 * @throws LowrankError `run.nothingToResume` with `resume` where there is none; what readRecord throws
 */
export async function findRun(folder: string, resume: boolean, disk?: Disk): Promise<FoundRun | undefined> {
  const record = await readRecord(folder, disk);
  const isFinished = record?.status === 'finished';
  if (record === undefined || (isFinished && !resume)) {
    if (resume) throw nothing(folder, 'no run');
    return undefined;
  }
  const step = (await checkpointSteps(folder, disk)).at(-1);
  if (step === undefined && isFinished) throw nothing(folder, 'a finished run without checkpoints');
  return { record, step };
}

function nothing(folder: string, got: string): LowrankError {
  return new LowrankError({
    code: 'run.nothingToResume',
    what: (names) => `${names('resume')} with the folder ${folder}`,
    expected: 'a run that can go on (run.json and a checkpoint)',
    got,
    remedy: (names) => `Leave ${names('resume')} out to begin one.`,
    setting: 'resume',
  });
}
