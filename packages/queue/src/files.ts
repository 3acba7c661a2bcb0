import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import type { Redis } from 'ioredis';

/** Files that lie in Redis, one after another, cut into chunks `key:0`, `key:1`, … */
export interface FilesSent {
  readonly kind: 'sent';
  readonly key: string;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly bytes: number;
  readonly chunks: number;
  readonly sha256: string;
}

/** Files that stayed where they were made. */
export interface FilesLeft {
  readonly kind: 'left';
  readonly host: string;
  readonly path: string;
  readonly bytes: number;
  /** Why they did not travel. */
  readonly reason: string;
}

const chunkBytes = 2 ** 22;

export interface SendFiles {
  readonly folder: string;
  readonly key: string;
  /** Bytes that may travel. */
  readonly limit: number;
  /** Milliseconds that the chunks live. */
  readonly keep: number;
}

/** Puts the files of a folder into Redis, unless they are too large or Redis has no room: then they are left. */
export async function sendFiles(
  client: Redis,
  { folder, key, limit, keep }: SendFiles,
): Promise<FilesSent | FilesLeft> {
  const files = await filesOf(folder);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const left = (reason: string): FilesLeft => ({
    kind: 'left',
    host: hostname(),
    path: resolve(folder),
    bytes,
    reason,
  });
  if (bytes > limit) return left(`${bytes} bytes, and at most ${limit} travel through Redis`);
  const hash = createHash('sha256');
  let chunks = 0;
  try {
    for await (const chunk of chunksOf(folder, files)) {
      hash.update(chunk);
      await client.set(`${key}:${chunks}`, chunk, 'PX', keep);
      chunks += 1;
    }
  } catch (error) {
    await dropFiles(client, { key, chunks });
    if (error instanceof Error && error.message.startsWith('OOM')) return left(`Redis has no room: ${error.message}`);
    throw error;
  }
  return { kind: 'sent', key, files, bytes, chunks, sha256: hash.digest('hex') };
}

/**
 * Writes files that were sent into a folder.
 *
 * @throws {LowrankError} queue.files when chunks are gone or are not what was sent
 */
export async function receiveFiles(client: Redis, sent: FilesSent, folder: string): Promise<void> {
  const hash = createHash('sha256');
  const wrong = (got: string): LowrankError =>
    new LowrankError({
      code: 'queue.files',
      what: `the files ${sent.key}`,
      expected: `${sent.chunks} chunks of ${sent.bytes} bytes in Redis`,
      got,
      remedy: 'They expire some days after the run. Run it again.',
    });
  let rest: Buffer = Buffer.alloc(0);
  let next = 0;
  for (const { name, bytes } of sent.files) {
    const path = safePath(folder, name);
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'w');
    try {
      for (let missing = bytes; missing > 0;) {
        if (rest.length === 0) {
          const chunk = next < sent.chunks ? await client.getBuffer(`${sent.key}:${next}`) : null;
          if (chunk === null || chunk.length === 0) throw wrong(`no chunk ${next}`);
          hash.update(chunk);
          rest = chunk;
          next += 1;
        }
        const part = rest.subarray(0, missing);
        await file.writeFile(part);
        rest = rest.subarray(part.length);
        missing -= part.length;
      }
    } finally {
      await file.close();
    }
  }
  if (next !== sent.chunks || rest.length > 0 || hash.digest('hex') !== sent.sha256) throw wrong('other bytes');
}

/** Removes the chunks of files. */
export async function dropFiles(client: Redis, { key, chunks }: { key: string; chunks: number }): Promise<void> {
  for (let at = 0; at < chunks; at += 1) await client.unlink(`${key}:${at}`);
}

async function filesOf(folder: string): Promise<{ name: string; bytes: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = await Promise.all(
    paths.map(async (path) => ({ name: relative(folder, path).split(sep).join('/'), bytes: (await stat(path)).size })),
  );
  return files.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function* chunksOf(
  folder: string,
  files: readonly { name: string; bytes: number }[],
): AsyncGenerator<Buffer, void, undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  for (const { name, bytes } of files) {
    if (bytes === 0) continue;
    for await (const read of createReadStream(join(folder, name), { end: bytes - 1 })) {
      let part = read as Buffer;
      while (length + part.length >= chunkBytes) {
        const taken = part.subarray(0, chunkBytes - length);
        yield Buffer.concat([...parts, taken]);
        part = part.subarray(taken.length);
        [parts, length] = [[], 0];
      }
      parts.push(part);
      length += part.length;
    }
  }
  if (length > 0) yield Buffer.concat(parts);
}

/** Names come over the network: none may lead out of the folder. */
function safePath(folder: string, name: string): string {
  const path = resolve(folder, name);
  if (name === '' || !path.startsWith(resolve(folder) + sep)) {
    throw new LowrankError({
      code: 'queue.files',
      what: 'the name of a file from a worker',
      expected: 'one inside its folder',
      got: JSON.stringify(name),
    });
  }
  return path;
}
