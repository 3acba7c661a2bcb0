import { LowrankError } from '@lowrank/errors';
import type { ReadOptions, ReadRows } from './jsonl.js';
import { readJsonl, readObjects } from './jsonl.js';
import { unreadable } from './textFiles.js';

/**
 * Where rows come from: the path of a JSONL file (Node), a URL, a File or Blob of JSON lines, such lines piece by
 * piece, or the rows themselves as objects.
 */
export type RowSource = string | Blob | AsyncIterable<string> | readonly object[];

/** What errors call a source. */
export function rowSourceName(source: RowSource): string {
  if (typeof source === 'string') return source;
  return typeof File !== 'undefined' && source instanceof File && source.name !== '' ? source.name : 'data';
}

/** @throws LowrankError `data.missing`, `data.unreadable`, and what parseJsonl throws */
export async function rowsFrom(source: RowSource, options: ReadOptions): Promise<ReadRows> {
  if (Array.isArray(source)) return readObjects(source, options);
  if (typeof source === 'string') return readJsonl(isAddress(source) ? urlText(source) : fileText(source), options);
  return readJsonl(source instanceof Blob ? blobText(source) : (source as AsyncIterable<string>), options);
}

/** A page knows no paths, so that there every string is an address, relative to the page. */
function isAddress(source: string): boolean {
  return /^(https?|blob|data):/.test(source) || typeof process === 'undefined';
}

async function* urlText(url: string): AsyncGenerator<string, void, undefined> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw unreadable(url, cause);
  });
  if (response.ok) return yield await response.text();
  throw new LowrankError({
    code: response.status === 404 ? 'data.missing' : 'data.unreadable',
    what: url,
    expected: 'JSON lines',
    got: `HTTP ${response.status}`,
    remedy: 'Check the address.',
  });
}

async function* blobText(blob: Blob): AsyncGenerator<string, void, undefined> {
  const reader = blob.stream().getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    yield decoder.decode(value, { stream: !done });
    if (done) return;
  }
}

async function* fileText(path: string): AsyncGenerator<string, void, undefined> {
  const { open } = await import('node:fs/promises');
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    for (;;) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(1 << 20));
      yield decoder.decode(buffer.subarray(0, bytesRead), { stream: bytesRead > 0 });
      if (bytesRead === 0) return;
    }
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}
