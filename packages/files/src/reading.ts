import { LowrankError } from '@lowrank/errors';
import type { Disk } from './disk.js';
import { ownDisk } from './ownDisk.js';

/** The folder, within the one that is saved into, of files that count although they may not be in their places yet. */
export const committedName = '.lowrank-committed';
export const orderName = '.order.json';

/** In what order the files of a saving move, and what goes: written before the rename that decides. */
export interface Order {
  readonly first: string;
  readonly files: readonly string[];
  readonly gone: readonly string[];
}

/**
 * Where a file of a folder is now: among those of a saving that has been decided, else in its place. A file that the
 * saving takes away has no place any more: the path that comes back leads nowhere. Nothing is written, so this works in
 * folders that may only be read.
 */
export async function currentFile(folder: string, name: string, disk: Disk = ownDisk): Promise<string> {
  const committed = `${folder}/${committedName}`;
  const waiting = await disk.list(committed).catch((): string[] => []);
  // Where files move one by one, the order comes last: without it nothing has been decided.
  const isDecided = disk.renamesFolders || waiting.includes(orderName);
  if (isDecided && waiting.includes(name)) return `${committed}/${name}`;
  if (!waiting.includes(orderName)) return `${folder}/${name}`;
  const order = await disk.readText(`${committed}/${orderName}`).then(
    (text) => (text === undefined ? undefined : (JSON.parse(text) as Order)),
    () => undefined,
  );
  return order?.gone.includes(name) === true ? `${committed}/${name}` : `${folder}/${name}`;
}

/** The files that say what a folder is: each saving writes its own. */
const markers = ['adapter_config.json', 'config.json'];

/** Whether a file says what a folder is. */
export function isMarker(name: string): boolean {
  return markers.includes(name);
}

/** A folder as it was when it was opened. */
export interface FolderView {
  /** What is in it, but for hidden files: files that are there, and some that are just going. */
  names(): Promise<string[]>;
  /** Where a file is now; undefined where there is none. */
  locate(name: string): Promise<string | undefined>;
  /**
   * Makes sure that what was located so far is of one saving.
   *
   * @throws LowrankError `files.changed` where another one was decided since the folder was opened
   */
  check(): Promise<void>;
}

/**
 * Opens a folder for reading several of its files. While another process saves into it, a reader gets the files
 * of one saving, or an error: the file that makes the folder what it is is another one in the moment in which all
 * others are, and it is looked at again whenever a file has been found.
 */
export async function viewFolder(folder: string, disk: Disk = ownDisk): Promise<FolderView> {
  /** Undefined where there is no such file. A file that is moved while it is looked for is looked for again. */
  const find = async (name: string): Promise<{ readonly path: string; readonly print: string } | undefined> => {
    for (let before: string | undefined; ;) {
      const path = await currentFile(folder, name, disk);
      const found = await disk.stat(path);
      if (found?.kind === 'file') return { path, print: found.print };
      if (path === before) return undefined;
      before = path;
    }
  };
  const look = async (): Promise<string> => {
    const found = [];
    for (const name of markers) found.push((await find(name))?.print);
    return found.join();
  };
  const opened = await look();
  return {
    async names() {
      const waiting = await disk.list(`${folder}/${committedName}`).catch((): string[] => []);
      const names = new Set([...waiting, ...(await disk.list(folder))]);
      return [...names].filter((name) => !name.startsWith('.')).sort();
    },
    locate: async (name) => (await find(name))?.path,
    async check() {
      if ((await look()) === opened) return;
      throw new LowrankError({
        code: 'files.changed',
        what: folder,
        expected: 'the folder that was opened',
        got: 'one that was saved into since',
        remedy: 'Read it again: another process has written it anew meanwhile.',
      });
    },
  };
}
