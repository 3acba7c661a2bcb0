import { isDeviceLost, isLowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { isStandardInput } from '../runs/runInputs.js';
import type { BegunFolderRun } from './beginFolderRun.js';
import type { FineTuneFolderOptions } from './fineTuneOptions.js';

/** A run that loses more devices than this has another trouble than a driver that was reset. */
export const mostLostDevices = 3;

/** Whether this is why something failed: an error of a lost device may be about what was being done at the time. */
export async function lostItsDevice(error: unknown, backend: Backend | undefined): Promise<boolean> {
  if (isDeviceLost(error)) return true;
  if (backend === undefined) return false;
  return backend.finish().then(() => false, isDeviceLost);
}

/** Without the remedy, which is being taken. */
function reasonOf(error: unknown): string {
  if (isLowrankError(error) && error.got !== undefined) return `${error.what}: ${error.got}`;
  return error instanceof Error ? error.message : String(error);
}

/**
 * The options with which a run goes on that has lost its device, from its last checkpoint or its beginning; undefined
 * where it cannot: no other device can be opened, its rows cannot be read again, or it is to stop anyway.
 */
export async function onAnotherDevice(
  { given, folder, resume }: Pick<BegunFolderRun, 'given' | 'folder' | 'resume'>,
  { lost, error }: { readonly lost: number; readonly error: unknown },
): Promise<FineTuneFolderOptions | undefined> {
  const { backend, signal, data, evalData } = given;
  if (typeof backend !== 'function' || lost > mostLostDevices || signal?.aborted === true) return undefined;
  if (isStandardInput(data) || isStandardInput(evalData)) return undefined;
  const own = await folder.lastCheckpoint();
  // Only what comes after the training is lost, and the result lies where the run would begin anew.
  if (own === undefined && folder.hasEnded) return undefined;
  const step = own ?? resume?.step;
  await given.onEvent?.({ type: 'deviceLost', message: reasonOf(error), step });
  // What was to be overwritten is gone by its first checkpoint; before, it still lies there.
  return own === undefined ? given : { ...given, overwrite: undefined, resume: true };
}
