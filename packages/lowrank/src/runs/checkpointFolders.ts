import type { FolderLock } from '@lowrank/files';
import { beginSaving, finishSaving, nodeDisk } from '@lowrank/files';
import type { MethodFiles } from '@lowrank/methods';
import { openFolder } from '@lowrank/models';
import { join } from 'node:path';
import type { RunState } from '../front/runState.js';
import { readState, stateFile } from './checkpointFiles.js';

/** What transformers calls them. */
export function checkpointName(step: number): string {
  return `checkpoint-${step}`;
}

/** Saves the checkpoint of a step, whole or not at all; returns its folder. */
export async function saveCheckpoint(
  run: string,
  { step, files, lock }: { readonly step: number; readonly files: MethodFiles; readonly lock: FolderLock },
): Promise<string> {
  const folder = join(run, checkpointName(step));
  const saving = await beginSaving(folder, { first: stateFile, replaces: () => true, lock });
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
export async function checkpointSteps(run: string): Promise<number[]> {
  const steps: number[] = [];
  for (const name of await nodeDisk.list(run)) {
    const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
    if (step === undefined) continue;
    const folder = join(run, name);
    await finishSaving(folder);
    if ((await nodeDisk.list(folder)).includes(stateFile)) steps.push(Number(step));
    // It counts for nothing; where it cannot be removed now, whoever looks next tries again.
    else await nodeDisk.removeTree(folder).catch(() => undefined);
  }
  return steps.sort((a, b) => a - b);
}

/** @throws LowrankError what readState throws, and what a missing file throws */
export async function readCheckpoint(run: string, step: number): Promise<RunState> {
  return readState(await openFolder(join(run, checkpointName(step))));
}

/** Removes a checkpoint. One that is half removed is none: the file that makes it whole goes first. */
export async function removeCheckpoint(run: string, step: number): Promise<void> {
  const folder = join(run, checkpointName(step));
  await nodeDisk.removeFile(join(folder, stateFile));
  await nodeDisk.syncFolder(folder);
  await nodeDisk.removeTree(folder);
}

/** Of these checkpoints, those that need not be kept: all but the last `keepLast` and the best. */
export function superfluous(
  steps: readonly number[],
  { keepLast, best }: { readonly keepLast: number | undefined; readonly best: number | undefined },
): number[] {
  return keepLast === undefined ? [] : steps.slice(0, -keepLast).filter((step) => step !== best);
}
