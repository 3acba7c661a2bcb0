import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { FileContent } from '@lowrank/files';
import type { FileHandle } from 'node:fs/promises';

/**
 * Writes a file whole or not at all (Node only): to a temporary name in the same folder, then fsync, then rename. A
 * reader sees the old file or the new one; whatever goes wrong, no half of it stays behind. The folder must exist.
 *
 * @throws LowrankError `safetensors.notWritten`; errors of the chunks themselves come through unchanged
 */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  const { open, rename, rm } = await import('node:fs/promises');
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeChunks(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    if (isLowrankError(cause) || !isSystemError(cause)) throw cause;
    throw new LowrankError({
      code: 'safetensors.notWritten',
      what: path,
      expected: 'a folder that exists, may be written to and has room',
      got: cause.message,
      remedy:
        'Nothing was left behind, and an older file of that name is untouched. Create the folder, free some ' +
        'room, or choose another.',
      cause,
    });
  }
  await syncFolder(path);
}

async function writeChunks(file: FileHandle, content: FileContent): Promise<void> {
  const chunks =
    typeof content === 'string'
      ? [new TextEncoder().encode(content)]
      : content instanceof Uint8Array
        ? [content]
        : content;
  for await (const chunk of chunks) {
    let done = 0;
    while (done < chunk.byteLength) done += (await file.write(chunk, done, chunk.byteLength - done)).bytesWritten;
  }
}

/**
 * The rename itself reaches the disk with the folder. Windows and some network disks cannot sync a folder: then it
 * comes later.
 */
async function syncFolder(path: string): Promise<void> {
  const { open } = await import('node:fs/promises');
  try {
    const folder = await open(path.replace(/[^/\\]*$/, '') || '.', 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch {
    // The file itself is complete and in place.
  }
}

function temporaryName(path: string): string {
  const unique = Math.random().toString(36).slice(2, 10);
  return path.replace(/[^/\\]*$/, (base) => `.${base.slice(0, 200)}.${unique}.tmp`);
}

function isSystemError(cause: unknown): cause is Error {
  return cause instanceof Error && 'syscall' in cause;
}
