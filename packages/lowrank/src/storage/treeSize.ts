import type { Disk } from '@lowrank/files';
import { joinPath, ownDisk } from '@lowrank/files';

/** Bytes of all files in a folder and below; 0 where there is none. */
export async function treeSize(path: string, disk: Disk = ownDisk): Promise<number> {
  const found = await disk.stat(path);
  if (found?.kind !== 'folder') return found?.bytes ?? 0;
  let bytes = 0;
  for (const name of await disk.list(path)) bytes += await treeSize(joinPath(path, name), disk);
  return bytes;
}
