import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { FolderLock } from './disk.js';
import { removeLeftovers } from './leftovers.js';
import type { ClaimOptions, OutputClaim } from './outputClaim.js';
import { notWritable, taken } from './outputClaim.js';
import { ownDisk as disk } from './ownDisk.js';
import { folderOf, nameOf } from './paths.js';

/**
 * Takes one file for what is about to be written, as `claimOutput` takes a folder. Its folder may hold whatever else.
 * An older file that begins with the bytes `magic` is one of the same kind, which takes its place only when it is
 * whole; any other is refused without `overwrite`.
 *
 * @throws LowrankError as `claimOutput` does; `cli.output` where a folder is in the way
 */
export async function claimFile(
  path: string,
  { magic, overwrite = false }: Pick<ClaimOptions, 'overwrite'> & { readonly magic: string },
): Promise<Pick<OutputClaim, 'path' | 'release' | 'discard'>> {
  let made: string[] = [];
  let lock: FolderLock | undefined;
  const discard = async (): Promise<void> => {
    await lock?.release().catch(() => undefined);
    for (const folder of made) await disk.removeEmpty(folder);
  };
  const [folder, name] = [folderOf(path), nameOf(path)];
  try {
    made = await disk.makeFolders(folder);
    const held = (lock = await disk.lock(folder, name));
    await removeLeftovers(folder, undefined, name);
    if ((await disk.stat(path))?.kind === 'folder') throw isFolder(path);
    // An empty file is a place that somebody kept for it.
    if (!overwrite && !['', magic].includes(await beginning(path, magic.length)))
      throw taken(path, { kind: 'file', name }, {});
    return { path, release: () => held.release(), discard };
  } catch (cause) {
    await discard();
    throw isLowrankError(cause) ? cause : notWritable(path, cause);
  }
}

async function beginning(path: string, length: number): Promise<string> {
  const bytes = await disk.read(path, 0, length).catch(() => new Uint8Array());
  return String.fromCharCode(...bytes);
}

function isFolder(path: string): LowrankError {
  return new LowrankError({
    code: 'cli.output',
    what: `--output ${path}`,
    expected: 'a file',
    got: 'a folder',
    remedy: `Name the file: ${path.replace(/\/+$/, '')}/model.gguf, for example.`,
  });
}
