import type { Disk } from './disk.js';
import { chunksOf } from './chunksOf.js';

/** Node's file system. */
export const nodeDisk: Disk = {
  appendsInPlace: true,
  renamesFolders: true,
  async makeFolders(path) {
    const { makeFolders } = await import('./makeFolders.js');
    return makeFolders(path);
  },
  async makeFolder(path) {
    const { mkdir } = await import('node:fs/promises');
    return mkdir(path).then(
      () => true,
      (error: unknown) => (codeOf(error) === 'EEXIST' ? false : Promise.reject(error as Error)),
    );
  },
  async createFile(path, content) {
    const { open } = await import('node:fs/promises');
    const file = await open(path, 'wx');
    try {
      for await (const chunk of chunksOf(content)) {
        for (let done = 0; done < chunk.byteLength;)
          done += (await file.write(chunk, done, chunk.byteLength - done)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  },
  async syncFolder(path) {
    const { open } = await import('node:fs/promises');
    const folder = await open(path, 'r').catch(() => undefined);
    try {
      await folder?.sync().catch((error: unknown) => {
        if (isDiskError(error)) throw error;
      });
    } finally {
      await folder?.close();
    }
  },
  async rename(from, to) {
    const { rename } = await import('node:fs/promises');
    await rename(from, to);
  },
  async removeFile(path) {
    const { rm } = await import('node:fs/promises');
    await rm(path, { force: true });
  },
  async removeTree(path) {
    const { rm } = await import('node:fs/promises');
    await rm(path, { force: true, recursive: true });
  },
  async removeEmpty(path) {
    const { rmdir } = await import('node:fs/promises');
    return rmdir(path).then(
      () => true,
      () => false,
    );
  },
  async readText(path) {
    const { readFile } = await import('node:fs/promises');
    return readFile(path, 'utf8').catch(missing);
  },
  async list(path) {
    const { readdir } = await import('node:fs/promises');
    return (await readdir(path).catch(missing)) ?? [];
  },
  async stat(path) {
    const { stat } = await import('node:fs/promises');
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || !(found.isFile() || found.isDirectory())) return undefined;
    const { size, mtimeMs, ino } = found;
    return { kind: found.isFile() ? 'file' : 'folder', bytes: size, print: `${size} ${mtimeMs} ${ino}` };
  },
  async read(path, start, end) {
    const { open } = await import('node:fs/promises');
    const file = await open(path, 'r');
    try {
      const bytes = new Uint8Array(Math.max(0, Math.min(end, (await file.stat()).size) - start));
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await file.read(bytes, done, Math.min(largestRead, bytes.length - done), start + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    } finally {
      await file.close();
    }
  },
  async append(path, bytes) {
    const { appendFile } = await import('node:fs/promises');
    await appendFile(path, bytes);
  },
  async syncFile(path) {
    const { open } = await import('node:fs/promises');
    const file = await open(path, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  },
  async realPath(path) {
    const { realpath } = await import('node:fs/promises');
    return realpath(path);
  },
  async lock(folder, name) {
    const { lockFolder } = await import('./lock.js');
    return lockFolder(folder, name);
  },
  async isLocked(folder) {
    const { isLocked } = await import('./lock.js');
    return isLocked(folder);
  },
};

/** One system call reads at most this much; Linux stops a little below 2 GiB. */
const largestRead = 2 ** 30;

/** A disk that is broken or full, not one that cannot do what is asked. */
function isDiskError(error: unknown): boolean {
  return ['EIO', 'ENOSPC', 'EDQUOT'].includes(String(codeOf(error)));
}

function missing(error: unknown): undefined {
  const code = codeOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
