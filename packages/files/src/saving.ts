import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { Disk, FileContent, FolderLock } from './disk.js';
import { removeLeftovers, stagedPrefix } from './leftovers.js';
import { isNoRoom, notWritten } from './notWritten.js';
import { ownDisk } from './ownDisk.js';
import { joinPath } from './paths.js';
import type { Order } from './reading.js';
import { committedName, isMarker, orderName } from './reading.js';

/**
 * Several files of one folder that become visible together or not at all.
 *
 * They are staged in a hidden folder beside their places, each synced. One rename of that folder, to
 * {@link committedName}, decides (in a browser, where only files are renamed, that of its order, which comes last):
 * before it the folder is what it was, after it the new files count, since readers look there first
 * ({@link currentFile}). Then each file moves to its place, and a process that dies on the way leaves the
 * rest to the next one ({@link finishSaving}). A program that knows nothing of this (PEFT, say) finds the old files,
 * the new ones, or, for a moment, no `first` file: it is taken away before any other file changes and comes back last,
 * so that no old configuration ever stands beside new weights.
 */
export interface FolderSaving {
  readonly folder: string;
  /** Where files are staged: what a writer keeps for a while may lie there too, and is gone at the end. */
  readonly staged: string;
  /** Stages a file, whole and synced. @throws LowrankError `files.notWritten` */
  write(name: string, content: FileContent): Promise<void>;
  /**
   * Makes the staged files visible.
   *
   * @throws LowrankError `files.notWritten`; the folder is then what it was, or, where the failure came behind the
   * deciding rename, the new files count and the next saving or reading moves them to their places
   */
  commit(): Promise<void>;
  /** Removes what is staged. The folder is what it was, and is gone where it was made for this. */
  discard(): Promise<void>;
}

/** Options of `beginSaving`. */
export interface SavingOptions {
  /** The file that makes the folder what it is: `adapter_config.json`, `config.json`. */
  readonly first: string;
  /** Files of an earlier saving that do not belong to this one, such as shards: gone when it is visible. */
  readonly replaces?: ((name: string) => boolean) | undefined;
  /** The caller's, who keeps it. Default: a lock of its own, from here to the end of the saving. */
  readonly lock?: FolderLock | undefined;
  readonly disk?: Disk | undefined;
}

/**
 * Begins a saving into a folder, which is made where need be, parents included. What a dead process left there is
 * finished or removed first.
 *
 * @throws LowrankError `files.notWritable`; `files.locked` where another process, or another saving of this one, writes
 * into the folder
 */
export async function beginSaving(folder: string, options: SavingOptions): Promise<FolderSaving> {
  const { first, replaces = () => false, disk = ownDisk } = options;
  const staged = joinPath(folder, `${stagedPrefix}${Math.random().toString(36).slice(2, 10)}`);
  let made: string[] = [];
  let own: FolderLock | undefined;
  try {
    made = await disk.makeFolders(folder);
    if (options.lock === undefined) own = await disk.lock(folder);
    await finishSaving(folder, disk);
    if (own !== undefined) await removeLeftovers(folder, disk);
    await disk.makeFolder(staged);
  } catch (cause) {
    await own?.release();
    for (const path of made) await disk.removeEmpty(path);
    throw notWritable(folder, cause);
  }
  const names = new Set<string>();
  let isDecided = false;
  const guarded = async (action: () => Promise<void>, name: string): Promise<void> => {
    try {
      await action();
    } catch (cause) {
      throw notWritten(joinPath(folder, name), cause, isDecided);
    }
  };
  return {
    folder,
    staged,
    write: (name, content) =>
      guarded(async () => {
        await refuseFolder(joinPath(folder, name), disk);
        names.add(name);
        await disk.createFile(joinPath(staged, name), content);
      }, name),
    commit: () =>
      guarded(async () => {
        const others = (await disk.list(folder)).filter(
          // Locks, and what is staged.
          (name) => !names.has(name) && !name.startsWith('.lowrank-') && replaces(name),
        );
        // What makes a folder a model or an adapter goes before the rest of it.
        const gone = [...others.filter(isMarker), ...others.filter((name) => !isMarker(name))];
        const order: Order = { first, files: [...names].filter((name) => name !== first), gone };
        await disk.createFile(joinPath(staged, orderName), JSON.stringify(order));
        await disk.syncFolder(staged);
        await disk.rename(staged, joinPath(folder, committedName), orderName);
        isDecided = true;
        await disk.syncFolder(folder);
        await finishSaving(folder, disk);
        await own?.release();
      }, first),
    async discard() {
      await disk.removeTree(staged).catch(() => undefined);
      await own?.release().catch(() => undefined);
      for (const path of made) await disk.removeEmpty(path);
    },
  };
}

/**
 * Moves the files of a saving that has been decided to their places. Does nothing where there is none, and may be run
 * again after any interruption.
 */
export async function finishSaving(folder: string, disk: Disk = ownDisk): Promise<void> {
  const committed = joinPath(folder, committedName);
  const waiting = await disk.list(committed);
  if (waiting.length === 0) return void (await disk.removeEmpty(committed));
  // Where files move one by one, the order comes last: without it nothing has been decided.
  if (!disk.renamesFolders && !waiting.includes(orderName)) return disk.removeTree(committed);
  const { first, files, gone } = await readOrder(joinPath(committed, orderName), disk);
  if (waiting.includes(first)) {
    await disk.removeFile(joinPath(folder, first));
    await disk.syncFolder(folder);
    for (const name of gone) await disk.removeTree(joinPath(folder, name));
    for (const name of files)
      if (waiting.includes(name)) await disk.rename(joinPath(committed, name), joinPath(folder, name));
    await disk.syncFolder(folder);
    await disk.rename(joinPath(committed, first), joinPath(folder, first));
    await disk.syncFolder(folder);
  }
  await disk.removeTree(committed);
}

async function readOrder(path: string, disk: Disk): Promise<Order> {
  const text = await disk.readText(path);
  if (text !== undefined) return JSON.parse(text) as Order;
  throw new LowrankError({
    code: 'files.damaged',
    what: path,
    expected: 'the list of the files beside it',
    got: 'nothing',
    remedy: 'Remove that folder: it belongs to a saving that another program changed.',
  });
}

/** No file can take the place of a folder, which would be noticed only when the saving has been decided. */
async function refuseFolder(path: string, disk: Disk): Promise<void> {
  if ((await disk.stat(path))?.kind !== 'folder') return;
  throw new LowrankError({
    code: 'files.notWritten',
    what: path,
    expected: 'a place for a file',
    got: 'a folder of that name',
    remedy: 'Remove it, or choose another output. Nothing was changed.',
  });
}

function notWritable(folder: string, cause: unknown): unknown {
  if (isLowrankError(cause)) return cause;
  return new LowrankError({
    code: 'files.notWritable',
    what: `the folder ${folder}`,
    expected: 'one that can be made and written into',
    got: cause instanceof Error ? cause.message : String(cause),
    remedy: isNoRoom(cause)
      ? 'Free some room, or choose another folder. What was there before is untouched.'
      : 'Choose another folder, or change its permissions. What was there before is untouched.',
    cause,
  });
}

/** Saves whatever `write` stages, all of it or nothing. */
export async function saveTogether<Result>(
  begun: Promise<FolderSaving>,
  write: (saving: FolderSaving) => Promise<Result>,
): Promise<Result> {
  const saving = await begun;
  try {
    const result = await write(saving);
    await saving.commit();
    return result;
  } catch (error) {
    await saving.discard();
    throw error;
  }
}
