import { isLowrankError, LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import { ownDisk } from '@lowrank/files';
import type { ListedRun } from '../runs/listRuns.js';
import { listRuns } from '../runs/listRuns.js';
import { runsFolder } from './places.js';
import { treeSize } from './treeSize.js';

/** A run in the storage. */
export interface StoredRun extends ListedRun {
  readonly id: string;
  /** With its checkpoints. */
  readonly bytes: number;
  /** Whether a tab, a worker or a process trains it now. */
  readonly isOpen: boolean;
}

/**
 * The folder of a run: what `fineTune` takes as `output`, and `loadAdapter` as source.
 *
 * @param id letters, digits, dots, dashes, underscores
 * @throws LowrankError `files.unsafeName`
 */
export function runFolder(id: string): string {
  return `${runsFolder}/${safeName(id, { what: 'the id of a run' })}`;
}

/** The runs of this origin, by their ids. */
export async function storedRuns(): Promise<StoredRun[]> {
  const listed = await listRuns([runsFolder]).catch((error: unknown) => {
    if (isLowrankError(error) && error.code === 'run.noRuns') return [];
    throw error;
  });
  const runs: StoredRun[] = [];
  for (const run of listed) {
    const id = run.folder.slice(runsFolder.length + 1);
    runs.push({ ...run, id, bytes: await treeSize(run.folder), isOpen: await ownDisk.isLocked(run.folder) });
  }
  return runs;
}

/**
 * Removes a run with all that it saved.
 *
 * @throws LowrankError `files.locked` while it is trained, `storage.none` where there is no such run
 */
export async function removeStoredRun(id: string): Promise<void> {
  const folder = runFolder(id);
  if ((await ownDisk.stat(folder))?.kind !== 'folder') throw nothing(`the run ${id}`);
  const lock = await ownDisk.lock(folder);
  try {
    // A run without a record is none, also where the rest cannot be removed at once.
    await ownDisk.removeFile(`${folder}/run.json`);
    await ownDisk.removeTree(folder);
  } finally {
    await lock.release();
  }
}

/** What was asked for by name is not there. */
export function nothing(what: string): LowrankError {
  return new LowrankError({
    code: 'storage.none',
    what,
    expected: 'something that is stored',
    got: 'nothing of that name',
    remedy: 'The browser may have evicted the site’s storage: storage.persist() asks it not to.',
  });
}
