import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * The folders between what exists and `path`, outermost first. Made one by one, since Node 20's recursive mkdir never
 * returns where a file system (/proc) answers ENOENT.
 */
export async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (
    let folder = resolve(path);
    (await stat(folder).catch(() => undefined)) === undefined && folder !== dirname(folder);
    folder = dirname(folder)
  )
    missing.unshift(folder);
  return missing;
}
