import { mkdir, realpath, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import { missingFolders } from './missingFolders.js';

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
