import type { Disk } from './disk.js';
import { ownDisk } from './ownDisk.js';
import { joinPath } from './paths.js';

/** Of folders that hold the files of a saving until it is decided. */
export const stagedPrefix = '.lowrank-staged-';

/** A name for a file until it is whole. */
export function temporaryName(base: string): string {
  return `.${base.slice(0, 200)}.lowrank-${Math.random().toString(36).slice(2, 10)}.tmp`;
}

/**
 * Removes what processes that have ended left in a folder: staged folders, and files under temporary names; of one file
 * alone those of its name. For whoever holds the lock: then nobody else's is in use.
 */
export async function removeLeftovers(folder: string, disk: Disk = ownDisk, name?: string): Promise<void> {
  for (const entry of await disk.list(folder)) {
    const isTemporary =
      /^\..*\.lowrank-[a-z0-9]+\.tmp$/.test(entry) &&
      (name === undefined || entry.startsWith(`.${name.slice(0, 200)}.`));
    // Metrics of a run that never saved.
    const isOfFolder = name === undefined && (entry.startsWith(stagedPrefix) || entry === 'metrics.partial.jsonl');
    if (isTemporary || isOfFolder) await disk.removeTree(joinPath(folder, entry));
  }
}
