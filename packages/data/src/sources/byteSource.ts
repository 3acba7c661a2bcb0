import { LowrankError } from '@lowrank/errors';
import { unreadable } from '../textFiles.js';

/** Bytes from anywhere: a file, a Blob, an address, the standard input. */
export interface ByteSource {
  /** What errors call it. */
  readonly name: string;
  /** From the beginning. */
  stream(): AsyncIterable<Uint8Array>;
  /** There where any place can be read again. */
  readonly parts?: ByteParts;
  /** Lets go of the file. */
  close(): Promise<void>;
}

export interface ByteParts {
  readonly size: number;
  readonly slice: (start: number, end: number) => Promise<Uint8Array>;
}

/**
 * The bytes of a file or an address; `-` is the standard input (Node). @throws LowrankError `data.missing`,
 * `data.unreadable`
 */
export async function openSource(source: string | Blob | AsyncIterable<string>, name: string): Promise<ByteSource> {
  if (typeof source !== 'string')
    return source instanceof Blob ? blobSource(source, name) : once(name, () => encoded(source));
  if (isAddress(source)) return once(name, () => urlBytes(source));
  if (source === '-') return once('standard input', standardInput);
  return fileSource(source);
}

/** A page knows no paths, so that there every string is an address, relative to the page. */
export function isAddress(source: string): boolean {
  return /^(https?|blob|data):/.test(source) || typeof process === 'undefined';
}

/** Bytes that come once, and are held nowhere. */
export function once(name: string, stream: () => AsyncIterable<Uint8Array>): ByteSource {
  return { name, stream, close: () => Promise.resolve() };
}

function blobSource(blob: Blob, name: string): ByteSource {
  return {
    name,
    stream: () => streamed(blob.stream()),
    parts: {
      size: blob.size,
      slice: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
    },
    close: () => Promise.resolve(),
  };
}

async function fileSource(path: string): Promise<ByteSource> {
  const { open } = await import('node:fs/promises');
  const failed = (cause: unknown): never => {
    throw unreadable(path, cause);
  };
  const file = await open(path, 'r').catch(failed);
  const { size } = await file.stat();
  const slice = async (start: number, end: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(end - start);
    for (let at = 0; at < bytes.length;) {
      const { bytesRead } = await file.read(bytes, at, bytes.length - at, start + at).catch(failed);
      if (bytesRead === 0) return bytes.subarray(0, at);
      at += bytesRead;
    }
    return bytes;
  };
  return {
    name: path,
    // Of a pipe the size is 0, and it has no places: it is read on until it ends.
    async *stream() {
      for (;;) {
        const { bytesRead, buffer } = await file.read(new Uint8Array(pieceBytes), 0, pieceBytes).catch(failed);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    },
    parts: { size, slice },
    close: () => file.close(),
  };
}

const pieceBytes = 1 << 20;

async function* urlBytes(url: string): AsyncGenerator<Uint8Array, void, undefined> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw unreadable(url, cause);
  });
  if (!response.ok)
    throw new LowrankError({
      code: response.status === 404 ? 'data.missing' : 'data.unreadable',
      what: url,
      expected: 'a file of rows',
      got: `HTTP ${response.status}`,
      remedy: 'Check the address.',
    });
  if (response.body !== null) yield* streamed(response.body);
}

/** By its number: on a thread of its own `process.stdin` is another stream. */
async function* standardInput(): AsyncGenerator<Uint8Array, void, undefined> {
  const { createReadStream } = await import('node:fs');
  for await (const chunk of createReadStream('', { fd: 0, autoClose: false })) yield chunk as Uint8Array;
}

/** Text as UTF-8. */
export async function* encoded(
  pieces: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new TextEncoder();
  let half = '';
  for await (const piece of pieces) {
    // A pair of surrogates may lie in two pieces.
    const text = half + piece;
    const isCut = /[\ud800-\udbff]$/.test(text);
    half = isCut ? text.slice(-1) : '';
    yield encoder.encode(isCut ? text.slice(0, -1) : text);
  }
  if (half !== '') yield encoder.encode(half);
}

/** Not every browser lets a stream be iterated. */
export async function* streamed(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}
