import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { Disk, FolderLock } from './disk.js';
import { removeLeftovers } from './leftovers.js';
import { ownDisk } from './ownDisk.js';
import { nameOf } from './paths.js';
import type { Contents } from './outputContents.js';
import { contentsOf, isOutputFile, isRunFile } from './outputContents.js';
import type { FolderSaving } from './saving.js';
import { beginSaving, finishSaving } from './saving.js';

/** A folder that this process alone writes into, and that is known to be writable. */
export interface OutputClaim {
  readonly path: string;
  /** The folder's own name, whichever way it was named. */
  readonly name: string;
  readonly disk: Disk;
  /** What lies in it from before, which is gone on with or replaced. */
  readonly holds: Contents | undefined;
  readonly lock: FolderLock;
  /**
   * Begins a saving into it.
   *
   * @param first the file that makes the folder what it is
   * @param replaces files from before that go; default: all of an adapter, a model and a run
   */
  beginSaving(first: string, replaces?: (name: string) => boolean): Promise<FolderSaving>;
  /** Ends the claim. */
  release(): Promise<void>;
  /** The same, and removes the folders that were made for it, where they are still empty: a failure leaves nothing. */
  discard(): Promise<void>;
}

/** What may be done with an output folder that is not empty. */
export interface ClaimOptions {
  /** Folders that are read from. */
  readonly inputs?: readonly string[] | undefined;
  /** What is in the folder may be replaced. */
  readonly overwrite?: boolean | undefined;
  /** What is in the folder may be gone on with: a run, with all that belongs to one, or a study. */
  readonly resume?: 'run' | 'study' | undefined;
  /** Where the folder is. Default: this platform's own. */
  readonly disk?: Disk | undefined;
}

/**
 * Takes a folder for what is about to be written: makes it, parents included, locks it, which writes a first byte into
 * it, so that hours of training do not end at a disk that refuses; finishes or removes what dead processes left.
 *
 * @throws LowrankError `output.notWritable`; `output.isInput` where the folder is one of `inputs`, whose files would be
 * overwritten; `files.locked` where a process writes into it; `output.taken` where it holds an adapter, a model, a run
 * or a study
 */
export async function claimOutput(path: string, options: ClaimOptions = {}): Promise<OutputClaim> {
  const { disk = ownDisk } = options;
  let made: string[] = [];
  let lock: FolderLock | undefined;
  const discard = async (): Promise<void> => {
    await lock?.release().catch(() => undefined);
    for (const folder of made) await disk.removeEmpty(folder);
  };
  try {
    made = await disk.makeFolders(path);
    if (await isAmong(path, options)) throw isInput(path);
    const held = (lock = await disk.lock(path));
    await finishSaving(path, disk);
    await removeLeftovers(path, disk);
    const holds = contentsOf(await disk.list(path));
    if (holds !== undefined && !mayWrite(holds, options)) throw taken(path, holds, options);
    return {
      path,
      name: nameOf(await disk.realPath(path)),
      disk,
      holds,
      lock: held,
      beginSaving: (first, replaces = isOfOutput) => beginSaving(path, { first, replaces, lock: held, disk }),
      release: () => held.release(),
      discard,
    };
  } catch (cause) {
    await discard();
    throw isLowrankError(cause) ? cause : notWritable(path, cause);
  }
}

function isOfOutput(name: string): boolean {
  return isOutputFile(name) || isRunFile(name);
}

function mayWrite({ kind }: Contents, { overwrite = false, resume }: ClaimOptions): boolean {
  return overwrite || (resume === 'study' ? kind === 'study' : resume === 'run' && kind !== 'study');
}

async function isAmong(path: string, { inputs = [], disk = ownDisk }: ClaimOptions): Promise<boolean> {
  const own = await disk.realPath(path);
  for (const input of inputs) if ((await disk.realPath(input).catch(() => undefined)) === own) return true;
  return false;
}

function isInput(path: string): LowrankError {
  return new LowrankError({
    code: 'output.isInput',
    what: `output folder ${path}`,
    expected: 'a folder of its own',
    got: 'the folder that is read from',
    remedy: 'Choose another --output: its files would be overwritten.',
  });
}

export function taken(
  path: string,
  { kind, name }: { readonly kind: string; readonly name: string },
  { resume }: ClaimOptions,
): LowrankError {
  const article = /^[aeiou]/.test(kind) ? 'an' : 'a';
  return new LowrankError({
    code: 'output.taken',
    what: kind === 'file' ? `output file ${path}` : `output folder ${path}`,
    expected: kind === 'file' ? 'no file of another kind' : `one that holds no ${kind}`,
    got: kind === 'file' ? 'one' : `${article} ${kind} (${name})`,
    remedy: (names) =>
      'Nothing in it was changed. Choose another --output' +
      (resume === 'study' ? '.' : `, or give ${names('overwrite')} to replace what is there.`),
    setting: 'overwrite',
  });
}

export function notWritable(path: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'output.notWritable',
    what: `output folder ${path}`,
    expected: 'a folder that can be made and written into',
    got: cause instanceof Error ? cause.message : String(cause),
    remedy: 'Choose another --output, or change its permissions. Nothing was done yet.',
    cause,
  });
}
