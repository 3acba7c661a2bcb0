import type { Disk } from './disk.js';
import { originDisk } from './originDisk.js';
import { ownDisk } from './ownDisk.js';

/** A folder, and the file system that its path is of. */
export interface Place {
  readonly disk: Disk;
  readonly path: string;
}

/** Where a folder is that was given as a path or, in a browser, as a handle: picked, or of the origin's own files. */
export async function placeOf(given: string | FileSystemDirectoryHandle): Promise<Place> {
  if (typeof given === 'string') return { disk: ownDisk, path: given };
  const root = await navigator.storage.getDirectory().catch(() => undefined);
  const within = await root?.resolve(given);
  if (within !== null && within !== undefined) return { disk: ownDisk, path: within.join('/') };
  return { disk: originDisk(() => Promise.resolve(given), `picked ${given.name}`), path: '' };
}
