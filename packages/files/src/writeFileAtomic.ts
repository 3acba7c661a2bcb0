import type { FileContent } from './disk.js';
import { temporaryName } from './leftovers.js';
import { notWritten } from './notWritten.js';
import { ownDisk } from './ownDisk.js';
import { folderOf, joinPath, nameOf } from './paths.js';

/**
 * Writes a file whole or not at all: to a temporary name in the same folder, synced, then renamed, and the folder
 * synced. A reader sees the old file or the new one; whatever goes wrong, no half of it stays behind, but where the
 * process dies: what it leaves is removed by whoever claims the folder next. The folder must exist.
 *
 * @throws LowrankError `files.notWritten`; errors of the content itself come through unchanged
 */
export async function writeFileAtomic(path: string, content: FileContent, disk = ownDisk): Promise<void> {
  const folder = folderOf(path);
  const temporary = joinPath(folder, temporaryName(nameOf(path)));
  try {
    await disk.createFile(temporary, content);
    await disk.rename(temporary, path);
  } catch (cause) {
    await disk.removeFile(temporary).catch(() => undefined);
    throw notWritten(path, cause);
  }
  // The file is whole and in its place, whatever comes of this.
  await disk.syncFolder(folder).catch(() => undefined);
}
