/**
 * Makes a folder with its parents. Returns those that it made, innermost first. One by one, since Node 20's recursive
 * mkdir never returns where a file system (/proc) answers ENOENT.
 */
export async function makeFolders(
  path: string,
  make: (path: string) => Promise<boolean> = makeFolder,
): Promise<string[]> {
  const { rmdir, stat } = await import('node:fs/promises');
  const paths = await import('node:path');
  const missing: string[] = [];
  for (
    let folder = paths.resolve(path);
    (await stat(folder).catch(() => undefined)) === undefined && folder !== paths.dirname(folder);
    folder = paths.dirname(folder)
  )
    missing.unshift(folder);
  const made: string[] = [];
  try {
    for (const folder of missing) if (await make(folder)) made.unshift(folder);
    return made;
  } catch (error) {
    for (const folder of made) await rmdir(folder).catch(() => undefined);
    throw error;
  }
}

/** Makes one folder. Resolves to false where it exists: another process may have been faster. */
export async function makeFolder(path: string): Promise<boolean> {
  const { mkdir } = await import('node:fs/promises');
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
