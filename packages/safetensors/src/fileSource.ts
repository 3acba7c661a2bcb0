import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { FileHandle } from 'node:fs/promises';
import type { ByteSource } from './byteSource.js';
import { allocate, checkRange, unreadable } from './byteSource.js';

/** One system call reads at most this much; Linux stops a little below 2 GiB. */
const largestRead = 2 ** 30;

interface Fingerprint {
  readonly size: number;
  readonly modified: number;
  readonly inode: number;
}

/**
 * A file on disk (Node only). It is opened for each read and closed again, so nothing leaks; a file that was replaced
 * or written to between two reads is refused rather than mixed.
 *
 * @param moved where the file is now, asked where it is no longer at `path`: a saving may have moved it
 * @throws LowrankError `safetensors.missing`, `safetensors.unreadable`, `safetensors.changed`, `safetensors.range`
 */
export function fileSource(path: string, moved?: () => Promise<string | undefined>): ByteSource {
  let seen: Fingerprint | undefined;
  let place = path;

  async function inFile<T>(use: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
    const { open } = await import('node:fs/promises');
    let file: FileHandle;
    try {
      file = await open(place, 'r').catch(async (cause: unknown) => {
        const now = await moved?.();
        if (now === undefined) throw cause;
        place = now;
        return open(now, 'r');
      });
    } catch (cause) {
      throw notOpened(path, cause);
    }
    try {
      const now = await fingerprint(file, path);
      seen ??= now;
      if (now.size !== seen.size || now.modified !== seen.modified || now.inode !== seen.inode)
        throw changed(path, seen, now);
      return await use(file, now.size);
    } catch (cause) {
      if (isLowrankError(cause)) throw cause;
      throw unreadable(path, cause, 'Check the disk and the permissions of the file.');
    } finally {
      await file.close();
    }
  }

  return {
    name: path,
    size: () => inFile((_, size) => Promise.resolve(size)),
    read: (start, end) =>
      inFile(async (file, size) => {
        checkRange(path, { start, end, size });
        const bytes = allocate(path, end - start);
        let done = 0;
        while (done < bytes.length) {
          const length = Math.min(largestRead, bytes.length - done);
          const { bytesRead } = await file.read(bytes, done, length, start + done);
          if (bytesRead === 0) checkRange(path, { start, end, size: start + done });
          done += bytesRead;
        }
        return bytes;
      }),
  };
}

async function fingerprint(file: FileHandle, path: string): Promise<Fingerprint> {
  const stat = await file.stat();
  if (!stat.isFile()) {
    throw new LowrankError({
      code: 'safetensors.missing',
      what: path,
      expected: 'a file',
      got: stat.isDirectory() ? 'a folder' : 'something that is no regular file',
      remedy: 'Give the path of the .safetensors file itself.',
    });
  }
  return { size: stat.size, modified: stat.mtimeMs, inode: stat.ino };
}

function notOpened(path: string, cause: unknown): LowrankError {
  const missing = cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
  if (!missing) return unreadable(path, cause, 'Check the permissions of the file.');
  return new LowrankError({
    code: 'safetensors.missing',
    what: path,
    expected: 'a file',
    got: 'nothing at that path',
    remedy: 'Check the path for a misspelling.',
    cause,
  });
}

function changed(path: string, before: Fingerprint, now: Fingerprint): LowrankError {
  return new LowrankError({
    code: 'safetensors.changed',
    what: path,
    expected: `the file first opened (${before.size} bytes)`,
    got: `another one (${now.size} bytes, modified ${new Date(now.modified).toISOString()})`,
    remedy: 'Something wrote to it while it was being read; open it again once that is done.',
  });
}
