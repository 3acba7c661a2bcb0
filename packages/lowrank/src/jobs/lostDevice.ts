import { isDeviceLost, isLowrankError } from '@lowrank/errors';
import type { Backend } from '@lowrank/tensor';
import { isStandardInput } from '../runs/runInputs.js';
import type { BegunFolderRun } from './beginFolderRun.js';
import type { MicroBatches } from '../runs/runRecord.js';
import type { RunState } from '../front/runState.js';
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
export function reasonOf(error: unknown): string {
  if (isLowrankError(error) && error.got !== undefined) return `${error.what}: ${error.got}`;
  return error instanceof Error ? error.message : String(error);
}

/**
 * The options with which a run goes on that has lost its device, from its last checkpoint or its beginning; undefined
 * where it cannot: no other device can be opened, its rows cannot be read again, or it is to stop anyway.
 */
export async function onAnotherDevice(
  { given, folder, resume }: Pick<BegunFolderRun, 'given' | 'folder' | 'resume'>,
  { lost, error, state }: { readonly lost: number; readonly error: unknown; readonly state?: RunState | undefined },
): Promise<Again | undefined> {
  const { backend, signal, data, evalData } = given;
  if (typeof backend !== 'function' || lost > mostLostDevices || signal?.aborted === true) return undefined;
  if (isStandardInput(data) || isStandardInput(evalData)) return undefined;
  // Only what comes after the training is lost, and the result lies where the run would begin anew.
  if (folder.hasEnded && (await folder.lastCheckpoint()) === undefined) return undefined;
  const again = await goingOn({ given, folder }, state);
  await given.onEvent?.({ type: 'deviceLost', message: reasonOf(error), step: again.step ?? resume?.step });
  return again;
}

/** How a run is begun again. */
export interface Again {
  readonly options: FineTuneFolderOptions;
  /** In memory, and newer than what is on the disk. */
  readonly state: RunState | undefined;
  /** The layout of its steps from then on, where it is another one. */
  readonly microBatches?: MicroBatches | undefined;
  /** That it goes on from; undefined where it begins as it was begun. */
  readonly step: number | undefined;
}

/** From the state in memory or the last checkpoint of this run, whichever is newer, or from where it began. */
export async function goingOn(
  { given, folder }: Pick<BegunFolderRun, 'given' | 'folder'>,
  held: RunState | undefined,
): Promise<Again> {
  const own = await folder.lastCheckpoint();
  // Before its first step a run has written nothing that could be gone on with.
  const isNewer = held !== undefined && folder.hasBegun && held.step > (own ?? 0);
  // What was to be overwritten is gone by the first step; before, it still lies there.
  const options = own === undefined && !isNewer ? given : { ...given, overwrite: undefined, resume: true };
  return { options, state: isNewer ? held : undefined, step: isNewer ? held.step : own };
}
