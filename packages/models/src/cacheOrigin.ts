import { isOverQuota, overQuota } from '@lowrank/files';
import { safeName } from '@lowrank/files/names';
import { blobSource } from '@lowrank/safetensors';
import type { ModelCache, PartialBlob } from './cache.js';

/**
 * Bytes of one piece. A page may write a file of the origin's private file system only as a whole, so a download is
 * kept in pieces: what a closed tab loses is the piece that was under way.
 */
const pieceBytes = 16 * 2 ** 20;

/**
 * A cache in the origin's private file system (browsers), laid out as the hub's: `refs`, `snapshots` (files that hold a
 * blob's key) and `blobs`, each a folder of pieces that becomes valid with the file `complete` in it.
 *
 * @param root a folder of `navigator.storage.getDirectory()`
 */
export function originCache(root: FileSystemDirectoryHandle): ModelCache {
  const storage = openStorage(root);
  const blobs = blobsIn(storage);
  return {
    name: `the browser's storage (${decoded(root.name)})`,
    full: {
      code: 'storage.quota',
      remedy: 'Remove stored models or runs, choose a smaller model, or free some of the disk.',
    },
    room: roomLeft,
    ...blobs,
    ...snapshotsIn(storage, blobs),
  };
}

/** Folders of models have encoded names. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** What the browser gives this origin beside what it has. */
async function roomLeft(): Promise<number | undefined> {
  const { usage, quota } = await navigator.storage.estimate();
  return usage === undefined || quota === undefined ? undefined : Math.max(0, quota - usage);
}

/** Files below a folder of the origin's private file system, by their path in parts. */
interface OriginStorage {
  readonly root: FileSystemDirectoryHandle;
  readonly folder: (path: readonly string[], create?: boolean) => Promise<FileSystemDirectoryHandle | undefined>;
  /** A file's text, trimmed; undefined where there is none. */
  readonly text: (path: readonly string[]) => Promise<string | undefined>;
  readonly write: (path: readonly string[], content: string) => Promise<void>;
}

function openStorage(root: FileSystemDirectoryHandle): OriginStorage {
  const folder: OriginStorage['folder'] = (path, create = false) => descend(root, path, create);
  return {
    root,
    folder,
    text: async (path) => (await (await fileIn(await folder(path.slice(0, -1)), path.at(-1) ?? ''))?.text())?.trim(),
    write: async (path, content) => put(await folder(path.slice(0, -1), true), path.at(-1) ?? '', content),
  };
}

/** `refs` and `snapshots`: which commit a branch is, and which files a commit has. */
function snapshotsIn(
  { folder, text, write }: OriginStorage,
  { blob }: Pick<ModelCache, 'blob'>,
): Pick<ModelCache, 'ref' | 'setRef' | 'files' | 'open' | 'link' | 'unlink'> {
  return {
    ref: (revision) => text(['refs', encodeURIComponent(revision)]),
    setRef: (revision, snapshot) => write(['refs', encodeURIComponent(revision)], snapshot),
    async files(snapshot) {
      const found = new Map<string, string>();
      const home = await folder(['snapshots', snapshot]);
      if (home === undefined) return found;
      // TypeScript's DOM library has no names to iterate.
      for await (const name of (home as FileSystemDirectoryHandle & { keys(): AsyncIterable<string> }).keys())
        found.set(name, (await text(['snapshots', snapshot, name])) ?? '');
      return found;
    },
    async open(snapshot, name) {
      const key = await text(['snapshots', snapshot, name]);
      return key === undefined ? undefined : (await blob(key))?.source;
    },
    link: (snapshot, name, key) => write(['snapshots', snapshot, name], key),
    async unlink(snapshot, name) {
      await (await folder(['snapshots', snapshot]))?.removeEntry(checked(name)).catch(() => undefined);
    },
  };
}

/** `blobs` and `.verified`: the bytes, finished or not, and when they were last found right. */
function blobsIn({
  root,
  folder,
  text,
  write,
}: OriginStorage): Pick<
  ModelCache,
  'blob' | 'partial' | 'partialSize' | 'finish' | 'drop' | 'verified' | 'setVerified' | 'sum' | 'setSum'
> {
  const isComplete = async (key: string): Promise<boolean> => (await text(['blobs', key, 'complete'])) !== undefined;
  const pieces = async (key: string): Promise<File[]> => piecesIn(await folder(['blobs', key]));
  return {
    async blob(key) {
      if (!(await isComplete(key))) return undefined;
      const files = await pieces(key);
      const whole = new Blob(files);
      return {
        source: blobSource(whole, key),
        size: whole.size,
        stamp: `${whole.size} ${Math.max(0, ...files.map(({ lastModified }) => lastModified))}`,
      };
    },
    async partial(key) {
      const home = await folder(['blobs', key], true);
      if (home === undefined) throw new Error('a folder that was just made is missing');
      const release = await webLock(`lowrank ${root.name}/${key}`);
      const partial = partialPieces(home, await pieces(key));
      return {
        ...partial,
        get size() {
          return partial.size;
        },
        async close() {
          await partial.close();
          release();
        },
      };
    },
    partialSize: async (key) =>
      (await isComplete(key)) ? 0 : (await pieces(key)).reduce((total, { size }) => total + size, 0),
    finish: (key) => write(['blobs', key, 'complete'], 'yes'),
    async drop(key) {
      for (const [home, name] of [
        ['blobs', key],
        ['.verified', key],
        ['.verified', `${key}.sha256`],
      ] as const)
        await (await folder([home]))?.removeEntry(checked(name), { recursive: true }).catch(() => undefined);
    },
    verified: (key) => text(['.verified', key]),
    setVerified: (key, stamp) => write(['.verified', key], stamp),
    sum: (key) => text(['.verified', `${key}.sha256`]),
    setSum: (key, hex) => write(['.verified', `${key}.sha256`], hex),
  };
}

/** The pieces of a blob, in order. */
async function piecesIn(home: FileSystemDirectoryHandle | undefined): Promise<File[]> {
  const files: File[] = [];
  for (let at = 0; ; at++) {
    const piece = await fileIn(home, pieceName(at));
    if (piece === undefined) return files;
    files.push(piece);
  }
}

/** Held until the function it gives is called, by one tab or worker of the origin at a time. */
function webLock(name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks.request(name, () => new Promise<void>((release) => resolve(release))).catch(reject);
  });
}

const pieceName = (at: number): string => `${String(at).padStart(6, '0')}.piece`;

function partialPieces(home: FileSystemDirectoryHandle, files: File[]): PartialBlob {
  let written = files.length;
  let size = files.reduce((total, file) => total + file.size, 0);
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  const flush = async (): Promise<void> => {
    if (waitingBytes === 0) return;
    await put(home, pieceName(written), new Blob(waiting.map((bytes) => new Uint8Array(bytes))));
    written++;
    waiting = [];
    waitingBytes = 0;
  };
  return {
    get size() {
      return size;
    },
    async *read() {
      for (let at = 0; at < written; at++) {
        const file = await fileIn(home, pieceName(at));
        if (file === undefined) return;
        yield new Uint8Array(await file.arrayBuffer());
      }
      yield* waiting;
    },
    async append(bytes) {
      waiting.push(bytes.slice());
      waitingBytes += bytes.length;
      size += bytes.length;
      if (waitingBytes >= pieceBytes) await flush();
    },
    async clear() {
      for (let at = 0; at < written; at++) await home.removeEntry(pieceName(at));
      waiting = [];
      written = waitingBytes = size = 0;
    },
    close: flush,
  };
}

/** Names of folders and files: those that came from elsewhere, and revisions with their slashes encoded. */
const checked = (name: string): string =>
  name === '.verified'
    ? name
    : safeName(name, { what: "a name in the browser's storage", pattern: /^[\w.%-]{1,200}$/ });

async function descend(
  root: FileSystemDirectoryHandle,
  path: readonly string[],
  create: boolean,
): Promise<FileSystemDirectoryHandle | undefined> {
  let at: FileSystemDirectoryHandle | undefined = root;
  for (const name of path)
    at = await at?.getDirectoryHandle(checked(name), { create }).catch((error: unknown) => missing(error));
  return at;
}

async function fileIn(folder: FileSystemDirectoryHandle | undefined, name: string): Promise<File | undefined> {
  return (await folder?.getFileHandle(checked(name)).catch((error: unknown) => missing(error)))?.getFile();
}

async function put(folder: FileSystemDirectoryHandle | undefined, name: string, content: string | Blob): Promise<void> {
  try {
    const writable = await (await folder?.getFileHandle(checked(name), { create: true }))?.createWritable();
    await writable?.write(content);
    await writable?.close();
  } catch (cause) {
    throw isOverQuota(cause) ? overQuota("the browser's storage", cause) : cause;
  }
}

function missing(error: unknown): undefined {
  if (error instanceof DOMException && (error.name === 'NotFoundError' || error.name === 'TypeMismatchError'))
    return undefined;
  throw error;
}
