import { mkdir, realpath, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { LowrankError } from '@lowrank/errors';

/** A folder to be written into, known to be writable. */
export interface OutputFolder {
  readonly path: string;
  /** Removes the folders that were made for it, where they are still empty: a run that failed leaves nothing. */
  discard(): Promise<void>;
}

/**
 * Makes the folder, parents included, and writes a first byte into it, so that hours of training do not end at a disk
 * that refuses.
 *
 * @throws LowrankError `output.notWritable`; `output.isInput` where the folder is one of `inputs`, whose files would be
 * overwritten
 */
export async function openOutputFolder(
  path: string,
  { inputs = [] }: { readonly inputs?: readonly string[] } = {},
): Promise<OutputFolder> {
  const made: string[] = [];
  const discard = async (): Promise<void> => {
    for (const folder of made) await rmdir(folder).catch(() => undefined);
  };
  try {
    for (const folder of await missingFolders(path)) {
      await mkdir(folder);
      made.unshift(folder);
    }
    const probe = join(path, `.lowrank-${process.pid}.tmp`);
    await writeFile(probe, '');
    await rm(probe);
  } catch (cause) {
    await discard();
    throw new LowrankError({
      code: 'output.notWritable',
      what: `output folder ${path}`,
      expected: 'a folder that can be made and written into',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: 'Choose another --output, or change its permissions. Nothing was done yet.',
      cause,
    });
  }
  const own = await realpath(path);
  for (const input of inputs) {
    if ((await realpath(input).catch(() => undefined)) !== own) continue;
    await discard();
    throw new LowrankError({
      code: 'output.isInput',
      what: `output folder ${path}`,
      expected: 'a folder of its own',
      got: 'the folder that is read from',
      remedy: 'Choose another --output: its files would be overwritten.',
    });
  }
  return { path, discard };
}

/**
 * The folders between what exists and `path`, outermost first. Made one by one, since Node 20's recursive mkdir never
 * returns where a file system (/proc) answers ENOENT.
 */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (
    let folder = resolve(path);
    (await stat(folder).catch(() => undefined)) === undefined && folder !== dirname(folder);
    folder = dirname(folder)
  )
    missing.unshift(folder);
  return missing;
}
