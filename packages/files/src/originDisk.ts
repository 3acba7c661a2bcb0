import { LowrankError } from '@lowrank/errors';
import { chunksOf } from './chunksOf.js';
import type { Disk, FileContent, FolderLock, Found } from './disk.js';

/** What TypeScript's library of pages does not declare: iteration, renaming, and what workers alone have. */
type Folder = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };
type FileHandle = FileSystemFileHandle & {
  move?(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
  createSyncAccessHandle?(): Promise<AccessHandle>;
};
interface AccessHandle {
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** How long a tab that has just been reloaded or closed may take to let go of what it held, in milliseconds. */
const releaseTime = 3_000;
/** A file that is written to while it is read is read again. */
const mostReads = 5;

/**
 * The origin's private file system of a browser (OPFS), or a folder that a person picked, in pages and in workers.
 * Renaming a file is atomic where the browser can move it; folders cannot be renamed. Locks are Web Locks, which end
 * with the tab or worker that holds them.
 *
 * @param root where paths begin. Default: the root of the origin's private file system
 * @param name of that folder, in the names of locks and in messages
 * @throws LowrankError `storage.unavailable` from any operation where there is no such file system
 */
export function originDisk(root: () => Promise<FileSystemDirectoryHandle> = originRoot, name = ''): Disk {
  const tree = new HandleTree(root);
  const shown = (path: string): string => [...(name === '' ? [] : [name]), ...partsOf(path)].join('/');
  const disk: Disk = {
    // Pages are given no file that they could write in place.
    appendsInPlace: 'FileSystemSyncAccessHandle' in globalThis,
    renamesFolders: false,
    makeFolders: (path) => tree.makeFolders(path),
    makeFolder: async (path) => (await tree.makeFolders(path)).length > 0,
    async createFile(path, content) {
      const file = await tree.file(path, true);
      try {
        await writeWhole(file, content);
      } catch (error) {
        await disk.removeFile(path).catch(() => undefined);
        throw error;
      }
    },
    syncFolder: () => Promise.resolve(),
    syncFile: () => Promise.resolve(),
    async rename(from, to, last) {
      if ((await disk.stat(from))?.kind !== 'folder') return tree.move(from, to);
      await tree.folder(to, true);
      const names = await disk.list(from);
      for (const each of [...names.filter((one) => one !== last), ...names.filter((one) => one === last)])
        await disk.rename(`${from}/${each}`, `${to}/${each}`);
      await disk.removeTree(from);
    },
    removeFile: (path) => tree.remove(path, false),
    removeTree: (path) => tree.remove(path, true),
    removeEmpty: (path) => (partsOf(path).length === 0 ? Promise.resolve(false) : tree.removeEmpty(path)),
    readText: async (path) => {
      const file = await tree.file(path).catch(missing);
      return file === undefined ? undefined : untilStill(async () => (await file.getFile()).text());
    },
    async list(path) {
      const folder = await tree.folder(path).catch(missing);
      const names: string[] = [];
      if (folder !== undefined) for await (const each of (folder as Folder).keys()) names.push(each);
      return names;
    },
    stat: (path) => tree.stat(path),
    async read(path, start, end) {
      const file = await tree.file(path);
      return untilStill(async () => new Uint8Array(await (await file.getFile()).slice(start, end).arrayBuffer()));
    },
    append: async (path, bytes) => append(await tree.file(path, true), bytes),
    realPath: (path) => Promise.resolve(shown(path)),
    lock: (folder, file) => hold(lockName(shown(folder), file), shown(folder)),
    async isLocked(folder) {
      const { held = [] } = await navigator.locks.query();
      return held.some((lock) => lock.name === lockName(shown(folder)));
    },
  };
  return disk;
}

/**
 * A folder of the origin's private file system, made where it is not there.
 *
 * @throws LowrankError `storage.unavailable`
 */
export function originFolder(path: string): Promise<FileSystemDirectoryHandle> {
  return new HandleTree(originRoot).folder(path, true);
}

/** The root of the origin's private file system. @throws LowrankError `storage.unavailable` */
async function originRoot(): Promise<FileSystemDirectoryHandle> {
  try {
    return await navigator.storage.getDirectory();
  } catch (cause) {
    throw new LowrankError({
      code: 'storage.unavailable',
      what: 'the browser’s storage of this site',
      expected: 'a private file system of the origin (OPFS)',
      got: cause instanceof Error ? cause.message : String(cause),
      remedy:
        'Open the page over https or from localhost, in a window that is not private, with storage allowed for the ' +
        'site. Without it everything works but is gone when the tab closes: download what was trained.',
      cause,
    });
  }
}

/** Folders and files by their paths below a root. */
class HandleTree {
  constructor(private readonly root: () => Promise<FileSystemDirectoryHandle>) {}

  async folder(path: string, create = false): Promise<FileSystemDirectoryHandle> {
    let at = await this.root();
    for (const part of partsOf(path)) at = await at.getDirectoryHandle(part, { create });
    return at;
  }

  async file(path: string, create = false): Promise<FileHandle> {
    const parts = partsOf(path);
    const folder = await this.folder(parts.slice(0, -1).join('/'));
    return folder.getFileHandle(parts.at(-1) ?? '', { create });
  }

  async makeFolders(path: string): Promise<string[]> {
    const made: string[] = [];
    let at = await this.root();
    let reached = '';
    for (const part of partsOf(path)) {
      reached = reached === '' ? part : `${reached}/${part}`;
      const found = await at.getDirectoryHandle(part).catch(missing);
      if (found === undefined) made.unshift(reached);
      at = found ?? (await at.getDirectoryHandle(part, { create: true }));
    }
    return made;
  }

  async stat(path: string): Promise<Found | undefined> {
    const file = await this.file(path).catch(missing);
    const found = await file?.getFile().catch(missing);
    if (found !== undefined) return { kind: 'file', bytes: found.size, print: `${found.size} ${found.lastModified}` };
    const folder = await this.folder(path).catch(missing);
    return folder === undefined ? undefined : { kind: 'folder', bytes: 0, print: '' };
  }

  async move(from: string, to: string): Promise<void> {
    const file = await this.file(from);
    const parts = partsOf(to);
    const [folder, name] = [await this.folder(parts.slice(0, -1).join('/')), parts.at(-1) ?? ''];
    if (file.move !== undefined) {
      const isMoved = await file.move(folder, name).then(
        () => true,
        // A folder that was picked: browsers move its files only by name, or not at all.
        (error: unknown) => (isUnable(error) ? false : Promise.reject(error as Error)),
      );
      if (isMoved) return;
    }
    const copy = await folder.getFileHandle(name, { create: true });
    await (await file.getFile()).stream().pipeTo(await copy.createWritable());
    await this.remove(from, false);
  }

  async remove(path: string, recursive: boolean): Promise<void> {
    const parts = partsOf(path);
    const folder = await this.folder(parts.slice(0, -1).join('/')).catch(missing);
    await folder?.removeEntry(parts.at(-1) ?? '', { recursive }).catch(missing);
  }

  removeEmpty(path: string): Promise<boolean> {
    return this.remove(path, false).then(
      () => true,
      () => false,
    );
  }
}

/** The parts of a path; a way out of the root is none, and refused by the browser itself. */
function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** A worker writes in place; a page writes a copy that takes the file's place when it is closed. */
async function writeWhole(file: FileHandle, content: FileContent): Promise<void> {
  const access = await accessOf(file);
  if (access !== undefined) {
    try {
      let at = 0;
      for await (const chunk of chunksOf(content)) at = writeAll(access, chunk, at);
      access.flush();
    } finally {
      access.close();
    }
    return;
  }
  const writable = await file.createWritable();
  try {
    for await (const chunk of chunksOf(content)) await writable.write(ownBytes(chunk));
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => undefined);
    throw error;
  }
}

async function append(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const access = await accessOf(file);
  if (access !== undefined) {
    try {
      writeAll(access, bytes, access.getSize());
    } finally {
      access.close();
    }
    return;
  }
  const writable = await file.createWritable({ keepExistingData: true });
  try {
    await writable.write({ type: 'write', position: (await file.getFile()).size, data: ownBytes(bytes) });
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => undefined);
    throw error;
  }
}

/** What writes a file in place: in workers, of the origin's own files. */
async function accessOf(file: FileHandle): Promise<AccessHandle | undefined> {
  if (file.createSyncAccessHandle === undefined) return undefined;
  return file.createSyncAccessHandle().catch((error: unknown) => {
    if (isUnable(error)) return undefined;
    throw error;
  });
}

function writeAll(access: AccessHandle, bytes: Uint8Array, start: number): number {
  for (let done = 0; done < bytes.length;) {
    const written = access.write(bytes.subarray(done), { at: start + done });
    if (written === 0) throw new DOMException('nothing more can be written', 'QuotaExceededError');
    done += written;
  }
  return start + bytes.length;
}

/** Writers take no view on memory that threads share. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}

/** A file that changes between its description and its reading cannot be read by that description. */
async function untilStill<T>(read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (attempt === mostReads || !isNamed(error, 'NotReadableError', 'NotFoundError')) throw error;
      await new Promise((resolve) => void setTimeout(resolve, 5 * attempt));
    }
  }
}

const lockName = (folder: string, file?: string): string => `lowrank ${folder}${file === undefined ? '' : ` ${file}`}`;

/** Held until it is released, or its tab or worker has ended. */
function hold(name: string, folder: string): Promise<FolderLock> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { signal: AbortSignal.timeout(releaseTime) }, () => {
        return new Promise<void>((release) => {
          resolve({ release: () => Promise.resolve(release()) });
        });
      })
      .catch((error: unknown) => reject(isNamed(error, 'TimeoutError', 'AbortError') ? locked(folder) : error));
  });
}

function locked(folder: string): LowrankError {
  return new LowrankError({
    code: 'files.locked',
    what: `the output ${folder}`,
    expected: 'one that no other tab writes into',
    got: 'one that another tab or worker of this site writes into',
    remedy: 'Go on in that tab, or close it first; or choose another output.',
  });
}

function isUnable(error: unknown): boolean {
  return isNamed(error, 'NotSupportedError', 'NotAllowedError', 'InvalidStateError', 'InvalidModificationError');
}

function missing(error: unknown): undefined {
  if (isNamed(error, 'NotFoundError', 'TypeMismatchError')) return undefined;
  throw error;
}

function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && names.includes(error.name);
}
