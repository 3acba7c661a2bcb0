import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import type { Redis } from 'ioredis';
import { keyPrefix } from './settings.js';

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
  // Hidden files are left-overs of savings, and no part of what was saved.
  const whole = files.filter(({ name }) => !/(^|\/)\./.test(name));
  return whole.sort((a, b) => (a.name < b.name ? -1 : 1));
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
const safePath = (folder: string, name: string): string =>
  join(
    folder,
    ...name.split('/').map((part) => safeName(part, { what: `the name ${JSON.stringify(name)} of a file` })),
  );

/** Files that one run may bring. */
const mostFiles = 1000;
/** Bytes that Redis could hold of one run. */
const mostBytes = 2 ** 40;

/** Whether what lies in Redis says of files what a worker says: names are checked where they become paths. */
export function isFiles(value: unknown, jobId: string): value is FilesSent | FilesLeft {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('bytes' in value)) return false;
  const { kind, bytes } = value;
  if (!isCount(bytes, mostBytes)) return false;
  if (kind === 'left') {
    return ['host', 'path', 'reason'].every((key) => typeof (value as Record<string, unknown>)[key] === 'string');
  }
  if (kind !== 'sent' || !('key' in value) || !('files' in value) || !('chunks' in value) || !('sha256' in value))
    return false;
  const { key, files, chunks, sha256 } = value;
  return (
    typeof key === 'string' &&
    key.startsWith(`${keyPrefix}:files:${jobId}:`) &&
    chunks === Math.ceil(bytes / chunkBytes) &&
    typeof sha256 === 'string' &&
    Array.isArray(files) &&
    files.length <= mostFiles &&
    files.every(isFile) &&
    files.reduce((sum, file) => sum + file.bytes, 0) === bytes
  );
}

const isCount = (value: unknown, most: number): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most;

function isFile(value: unknown): value is FilesSent['files'][number] {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'bytes' in value &&
    isCount(value.bytes, mostBytes)
  );
}
