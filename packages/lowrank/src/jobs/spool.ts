import { notWritten } from '@lowrank/files';
import type { FileHandle } from 'node:fs/promises';
import type { ByteSource, TensorEntry } from '@lowrank/safetensors';
import { fileSource } from '@lowrank/safetensors';
import { entryBytes } from './shards.js';

/** Bytes at a time. */
const piece = 16 * 2 ** 20;

/**
 * A file that keeps tensors until all of them are there: a safetensors file begins with every tensor's length, and
 * holds them in an order of its own.
 */
export class Spool {
  private bytes = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** A new file, to be removed by `remove`. @throws LowrankError `files.notWritten` */
  static async create(path: string): Promise<Spool> {
    const { open } = await import('node:fs/promises');
    try {
      return new Spool(path, await open(path, 'wx'));
    } catch (cause) {
      throw notWritten(path, cause);
    }
  }

  /** Writes a tensor's bytes; the entry that comes back reads them again. @throws LowrankError `files.notWritten` */
  async add(entry: TensorEntry & { readonly data: Uint8Array }): Promise<TensorEntry> {
    const { data } = entry;
    const start = this.bytes;
    try {
      for (let done = 0; done < data.length;)
        done += (await this.file.write(data, done, data.length - done, start + done)).bytesWritten;
    } catch (cause) {
      throw notWritten(this.path, cause);
    }
    this.bytes += data.length;
    return { ...entry, data: () => this.read(start, start + data.length) };
  }

  private async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    const source = fileSource(this.path);
    for (let at = start; at < end; at += piece) yield source.read(at, Math.min(at + piece, end));
  }

  async remove(): Promise<void> {
    const { rm } = await import('node:fs/promises');
    await this.file.close();
    // It lies where files are staged, which all go at the end.
    await rm(this.path, { force: true }).catch(() => undefined);
  }
}

/** All bytes of a source, piece by piece. */
export async function* wholeOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  const end = await source.size();
  for (let at = 0; at < end; at += piece) yield source.read(at, Math.min(at + piece, end));
}

/** A stored tensor as an entry that reads it piece by piece when its turn comes. */
export function storedEntry(
  file: { readRange(name: string, start: number, end: number): Promise<Uint8Array> },
  { name, dtype, shape }: Omit<TensorEntry, 'data'>,
  readAs = name,
): TensorEntry {
  const bytes = entryBytes({ dtype, shape });
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += piece) yield file.readRange(readAs, at, Math.min(at + piece, bytes));
  }
  return { name, dtype, shape, data: pieces };
}
