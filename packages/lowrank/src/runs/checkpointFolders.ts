import type { Disk, FolderLock } from '@lowrank/files';
import { beginSaving, finishSaving, joinPath, ownDisk } from '@lowrank/files';
import type { MethodFiles } from '@lowrank/methods';
import { openFolder } from '@lowrank/models';
import type { RunState } from '../front/runState.js';
import { readState, stateFile } from './checkpointFiles.js';

/** What transformers calls them. */
export function checkpointName(step: number): string {
  return `checkpoint-${step}`;
}

/** Saves the checkpoint of a step, whole or not at all; returns its folder. */
export async function saveCheckpoint(
  run: string,
  {
    step,
    files,
    lock,
    disk,
  }: { readonly step: number; readonly files: MethodFiles; readonly lock: FolderLock; readonly disk?: Disk },
): Promise<string> {
  const folder = joinPath(run, checkpointName(step));
  const saving = await beginSaving(folder, { first: stateFile, replaces: () => true, lock, disk });
  try {
    for (const [name, content] of Object.entries(files)) await saving.write(name, content);
    await saving.commit();
    return folder;
  } catch (error) {
    await saving.discard();
    throw error;
  }
}

/** The steps of the whole checkpoints of a run, ascending. What a process left half saved or half removed goes. */
export async function checkpointSteps(run: string, disk: Disk = ownDisk): Promise<number[]> {
  const steps: number[] = [];
  for (const name of await disk.list(run)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step === undefined) continue;
    const folder = joinPath(run, name);
    await finishSaving(folder, disk);
    if ((await disk.list(folder)).includes(stateFile)) steps.push(Number(step));
    // It counts for nothing; where it cannot be removed now, whoever looks next tries again.
    else await disk.removeTree(folder).catch(() => undefined);
  }
  return steps.sort((a, b) => a - b);
}

/** @throws LowrankError what readState throws, and what a missing file throws */
export async function readCheckpoint(run: string, step: number, disk: Disk = ownDisk): Promise<RunState> {
  return readState(await openFolder(joinPath(run, checkpointName(step)), disk));
}

/** Removes a checkpoint. One that is half removed is none: the file that makes it whole goes first. */
export async function removeCheckpoint(run: string, step: number, disk: Disk = ownDisk): Promise<void> {
  const folder = joinPath(run, checkpointName(step));
  await disk.removeFile(joinPath(folder, stateFile));
  await disk.syncFolder(folder);
  await disk.removeTree(folder);
}

/** Of these checkpoints, those that need not be kept: all but the last `keepLast` and the best. */
export function superfluous(
  steps: readonly number[],
  { keepLast, best }: { readonly keepLast: number | undefined; readonly best: number | undefined },
): number[] {
  return keepLast === undefined ? [] : steps.slice(0, -keepLast).filter((step) => step !== best);
}
