/** What a file is made of: text, bytes, or chunks as they come. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * The operations on a file system that a saving is made of. Tests put one in the place of Node's that fails, or stops
 * for good, at any one of them.
 */
export interface Disk {
  /** Makes one folder. Resolves to false where it exists. */
  makeFolder(path: string): Promise<boolean>;
  /** Makes a file with this content, synced; fails where the file exists. */
  createFile(path: string, content: FileContent): Promise<void>;
  /** Syncs the entries of a folder, as far as the system can (Windows and some network file systems cannot). */
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; resolves where there is none. */
  removeFile(path: string): Promise<void>;
  /** Removes a folder and what is in it; resolves where there is none. */
  removeTree(path: string): Promise<void>;
  /** Removes an empty folder; resolves to false where it is not empty or not there. */
  removeEmpty(path: string): Promise<boolean>;
  /** Undefined where there is no such file. */
  readText(path: string): Promise<string | undefined>;
  /** The names in a folder; none where there is no folder. */
  list(path: string): Promise<string[]>;
}

/** Node's file system. */
export const nodeDisk: Disk = {
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
};

function chunksOf(content: FileContent): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof content === 'string') return [new TextEncoder().encode(content)];
  return content instanceof Uint8Array ? [content] : content;
}

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
