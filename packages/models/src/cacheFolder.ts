import { safeName } from '@lowrank/files/names';
import { fileSource } from '@lowrank/safetensors';
import type * as Files from 'node:fs/promises';
import type { ModelCache, PartialBlob } from './cache.js';
import { lockFile } from './cacheLock.js';

/** The folder of a hub id in the hub's cache, as huggingface_hub names it. */
export const repoFolder = (id: string): string =>
  safeName(`models--${id.split('/').join('--')}`, { what: 'the folder of a model in the cache' });

/**
 * The hub's cache on disk, in huggingface_hub's layout, so that Python and Lowrank share what either has downloaded:
 * `blobs/<etag>`, `snapshots/<commit>/<file>` as links to them, `refs/<branch>`; `blobs/<etag>.incomplete` is a
 * download that goes on from where it ended. Beside these, `.verified/<etag>` holds size and time of the blob when its
 * checksum was last found right, so that it is computed again only when the file has changed since.
 *
 * @param path the folder of one repository, such as ~/.cache/huggingface/hub/models--owner--name
 */
export async function folderCache(path: string): Promise<ModelCache> {
  const disk = await openDisk(path);
  return {
    name: path,
    full: fullDisk,
    room: () => roomAt(disk, path),
    ...snapshotsOn(disk),
    ...blobsOn(disk),
    ...sumsOn(disk),
  };
}

const fullDisk = { code: 'models.cache', remedy: 'Make room, or set HF_HOME to a folder on another disk.' };

/** Where the SHA-256 lies that a blob had when it came. */
function sumsOn({ at, text, write }: Disk): Pick<ModelCache, 'sum' | 'setSum'> {
  const path = (key: string): string => at('.verified', `${key}.sha256`);
  return {
    sum: (key) => text(path(key)),
    setSum: (key, hex) => write(path(key), hex).catch(() => undefined),
  };
}

/** Bytes that may be written below a path, which need not be there yet; undefined where the platform does not tell. */
async function roomAt({ fs, folderOf }: Disk, path: string): Promise<number | undefined> {
  for (let folder = path; ; folder = folderOf(folder)) {
    const found = await fs.statfs(folder).catch(() => undefined);
    if (found !== undefined) return found.bavail * found.bsize;
    if (folderOf(folder) === folder) return undefined;
  }
}

/** The folder of a repository, with Node's modules, which browsers do not have. */
interface Disk {
  readonly fs: typeof Files;
  readonly folderOf: (file: string) => string;
  readonly nameOf: (file: string) => string;
  /** A path in one of the cache's own folders; each further part is a name that came from elsewhere. */
  readonly at: (folder: 'refs' | 'snapshots' | 'blobs' | '.verified', ...names: readonly string[]) => string;
  /** A file's text, trimmed; undefined where there is none. */
  readonly text: (file: string) => Promise<string | undefined>;
  /** Writes a file, and makes the folders above it. */
  readonly write: (file: string, content: string) => Promise<void>;
}

async function openDisk(path: string): Promise<Disk> {
  const fs = await import('node:fs/promises');
  const paths = await import('node:path');
  return {
    fs,
    folderOf: (file) => paths.dirname(file),
    nameOf: (file) => paths.basename(file),
    at: (folder, ...names) =>
      paths.join(path, folder, ...names.map((name) => safeName(name, { what: `a name below ${folder} of ${path}` }))),
    text: async (file) => (await fs.readFile(file, 'utf8').catch(() => undefined))?.trim(),
    async write(file, content) {
      await fs.mkdir(paths.dirname(file), { recursive: true });
      await fs.writeFile(file, content);
    },
  };
}

/** `refs` and `snapshots`: which commit a branch is, and which files a commit has. */
function snapshotsOn({
  fs,
  folderOf,
  nameOf,
  at,
  text,
  write,
}: Disk): Pick<ModelCache, 'ref' | 'setRef' | 'files' | 'open' | 'link' | 'unlink'> {
  return {
    ref: (revision) => text(at('refs', ...revision.split('/'))),
    setRef: (revision, snapshot) => write(at('refs', ...revision.split('/')), snapshot),
    async files(snapshot) {
      const names = await fs.readdir(at('snapshots', snapshot)).catch(() => []);
      const keyOf = async (name: string): Promise<string | undefined> => {
        const target = await fs.readlink(`${at('snapshots', snapshot)}/${name}`).catch(() => undefined);
        return target === undefined ? undefined : nameOf(target);
      };
      return new Map(await Promise.all(names.map(async (name) => [name, await keyOf(name)] as const)));
    },
    async open(snapshot, name) {
      const file = at('snapshots', snapshot, name);
      return (await fs.stat(file).catch(() => undefined))?.isFile() === true ? fileSource(file) : undefined;
    },
    async link(snapshot, name, key) {
      const file = at('snapshots', snapshot, name);
      await fs.mkdir(folderOf(file), { recursive: true });
      const made = `${file}.${Math.random().toString(36).slice(2)}.tmp`;
      const blob = at('blobs', key);
      // Where links need a privilege (Windows), a hard link or a copy does.
      await fs
        .symlink(`../../blobs/${key}`, made)
        .catch(() => fs.link(blob, made).catch(() => fs.copyFile(blob, made)));
      await fs.rename(made, file);
    },
    unlink: (snapshot, name) => fs.rm(at('snapshots', snapshot, name), { force: true }),
  };
}

/** `blobs` and `.verified`: the bytes, finished or not, and when they were last found right. */
function blobsOn({
  fs,
  at,
  text,
  write,
}: Disk): Pick<ModelCache, 'blob' | 'partial' | 'partialSize' | 'finish' | 'drop' | 'verified' | 'setVerified'> {
  const blobPath = (key: string): string => at('blobs', key);
  const partialPath = (key: string): string => `${blobPath(key)}.incomplete`;
  const verifiedPath = (key: string): string => at('.verified', key);
  return {
    async blob(key) {
      const stat = await fs.stat(blobPath(key)).catch(() => undefined);
      return stat?.isFile() === true
        ? { source: fileSource(blobPath(key)), size: stat.size, stamp: `${stat.size} ${stat.mtimeMs}` }
        : undefined;
    },
    async partial(key) {
      await fs.mkdir(at('blobs'), { recursive: true });
      const lock = await lockFile(`${partialPath(key)}.lock`);
      const file = await partialFile(await fs.open(partialPath(key), 'a+'));
      return {
        ...file,
        get size() {
          return file.size;
        },
        async append(bytes) {
          await file.append(bytes);
          await lock.touch();
        },
        async close(isWhole = false) {
          await file.close();
          if (file.size === 0 && !isWhole) await fs.rm(partialPath(key), { force: true });
          await lock.release();
        },
      };
    },
    partialSize: async (key) => (await fs.stat(partialPath(key)).catch(() => undefined))?.size ?? 0,
    async finish(key) {
      await fs.rename(partialPath(key), blobPath(key)).catch(async (error: unknown) => {
        // Another process may have been as quick.
        if ((await fs.stat(blobPath(key)).catch(() => undefined)) === undefined) throw error;
      });
    },
    async drop(key) {
      for (const file of [blobPath(key), partialPath(key), verifiedPath(key), `${verifiedPath(key)}.sha256`])
        await fs.rm(file, { force: true });
    },
    verified: (key) => text(verifiedPath(key)),
    // A cache that cannot be written to is checked each time.
    setVerified: (key, stamp) => write(verifiedPath(key), stamp).catch(() => undefined),
  };
}

async function partialFile(file: Files.FileHandle): Promise<PartialBlob> {
  let { size } = await file.stat();
  return {
    get size() {
      return size;
    },
    async *read() {
      const piece = new Uint8Array(1 << 20);
      for (let at = 0; at < size;) {
        const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, size - at), at);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield piece.subarray(0, bytesRead);
      }
    },
    async append(bytes) {
      for (let done = 0; done < bytes.length;) done += (await file.write(bytes, done)).bytesWritten;
      size += bytes.length;
    },
    async clear() {
      await file.truncate(0);
      size = 0;
    },
    async close() {
      await file.sync();
      await file.close();
    },
  };
}
