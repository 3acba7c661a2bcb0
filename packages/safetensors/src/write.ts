import { LowrankError } from '@lowrank/errors';
import type { SafetensorsDtype } from './dtype.js';
import { dtypeBytes, dtypeRank, isSafetensorsDtype, safetensorsDtypes } from './dtype.js';
import { kindOf, largestHeader, lengthBytes, quote } from './header.js';

/**
 * The bytes of one tensor: all at once, or in pieces made when their turn comes, so that a large file never lies in
 * memory.
 */
export type TensorData = Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array> | Promise<Uint8Array>);

/** A tensor to be written. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Little-endian, row-major; as many bytes as shape and dtype say. */
  readonly data: TensorData;
}

/**
 * Writes a safetensors file as a stream of chunks, byte for byte as the Python library does (safetensors 0.8): tensors
 * sorted by dtype (64-bit first), then by name in code point order; a compact JSON header padded with spaces to a
 * multiple of 8. Metadata keys keep the order given (the Python library's order is random where there is more than
 * one).
 *
 * Everything but the length of lazily made data is checked before the first chunk comes.
 *
 * @throws LowrankError `safetensors.duplicateName`, `.reservedName`, `.dtype`, `.shape`, `.byteCount`, `.metadata`,
 * `.headerTooLarge`
 */
export async function* writeSafetensors(
  entries: Iterable<TensorEntry>,
  metadata?: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { header, tensors } = layOut(entries, metadata);
  yield header;
  for (const { entry, bytes } of tensors) {
    let written = 0;
    for await (const chunk of chunksOf(entry.data)) {
      written += chunk.byteLength;
      if (written > bytes) throw wrongCount(entry, bytes, `at least ${written}`);
      yield chunk;
    }
    if (written !== bytes) throw wrongCount(entry, bytes, String(written));
  }
}

/** The whole file in one array, for tensors that are in memory already. The same bytes as writeSafetensors. */
export function serializeSafetensors(
  entries: Iterable<TensorEntry & { readonly data: Uint8Array }>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const { header, tensors, fileBytes } = layOut(entries, metadata);
  const file = new Uint8Array(fileBytes);
  file.set(header, 0);
  let offset = header.byteLength;
  for (const { entry, bytes } of tensors) {
    file.set(entry.data, offset);
    offset += bytes;
  }
  return file;
}

/** The bytes of the file that such tensors make: to be known before there is any data. Throws the same. */
export function safetensorsBytes(
  entries: Iterable<Omit<TensorEntry, 'data'>>,
  metadata?: Readonly<Record<string, string>>,
): number {
  return layOut(
    [...entries].map((entry) => ({ ...entry, data: () => [] })),
    metadata,
  ).fileBytes;
}

interface Layout<Entry> {
  /** Length, JSON and padding. */
  readonly header: Uint8Array;
  readonly tensors: readonly { readonly entry: Entry; readonly bytes: number }[];
  readonly fileBytes: number;
}

function layOut<Entry extends TensorEntry>(
  entries: Iterable<Entry>,
  metadata: Readonly<Record<string, string>> | undefined,
): Layout<Entry> {
  const tensors = [...entries].map((entry) => ({ entry, bytes: checkEntry(entry) }));
  tensors.sort(
    (a, b) => dtypeRank(a.entry.dtype) - dtypeRank(b.entry.dtype) || compareCodePoints(a.entry.name, b.entry.name),
  );

  const parts: string[] = [];
  if (metadata !== undefined) parts.push(`"__metadata__":${JSON.stringify(checkMetadata(metadata))}`);
  const names = new Set<string>();
  let offset = 0;
  for (const { entry, bytes } of tensors) {
    const { name, dtype, shape } = entry;
    if (names.has(name))
      throw bad('safetensors.duplicateName', `tensor ${quote(name)}`, 'each name once', 'the same name twice');
    names.add(name);
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, offset + bytes] })}`);
    offset += bytes;
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  const padded = Math.ceil(json.length / lengthBytes) * lengthBytes;
  if (padded > largestHeader)
    throw bad('safetensors.headerTooLarge', 'the header', `at most ${largestHeader} bytes`, `${padded}`);

  const header = new Uint8Array(lengthBytes + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, lengthBytes);
  return { header, tensors, fileBytes: header.length + offset };
}

function checkEntry(entry: TensorEntry): number {
  const { name, dtype, shape, data } = entry;
  const what = `tensor ${quote(name)}`;
  if (name === '__metadata__')
    throw bad('safetensors.reservedName', what, 'a name of its own', "the format's reserved name");
  if (/\p{Surrogate}/u.test(name))
    throw bad('safetensors.reservedName', what, 'a name that is valid Unicode', 'half a surrogate pair');
  if (!isSafetensorsDtype(dtype))
    throw bad('safetensors.dtype', `${what}, dtype`, `one of ${safetensorsDtypes.join(', ')}`, kindOf(dtype));
  let bytes = dtypeBytes(dtype);
  for (const dim of shape) {
    bytes *= dim;
    if (!Number.isSafeInteger(dim) || dim < 0 || !Number.isSafeInteger(bytes)) {
      throw bad(
        'safetensors.shape',
        `${what}, shape`,
        'whole numbers of at least 0, with a product below 2^53 bytes',
        kindOf(shape),
      );
    }
  }
  if (data instanceof Uint8Array && data.byteLength !== bytes) throw wrongCount(entry, bytes, String(data.byteLength));
  return bytes;
}

function checkMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(metadata) as [string, unknown][]) {
    if (typeof value !== 'string')
      throw bad('safetensors.metadata', `metadata ${quote(key)}`, 'a string', kindOf(value));
  }
  return metadata;
}

async function* chunksOf(data: TensorData): AsyncGenerator<Uint8Array, void, undefined> {
  const made = typeof data === 'function' ? data() : data;
  if (made instanceof Uint8Array) yield made;
  else if (made instanceof Promise) yield await made;
  else yield* made;
}

/**
 * Order of UTF-8 bytes, in which Rust compares strings; JavaScript's `<` compares UTF-16 units and puts U+10000 before
 * U+E000.
 */
function compareCodePoints(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at > 0 && isHighSurrogate(a.charCodeAt(at - 1))) at--;
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1);
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function wrongCount(entry: TensorEntry, expected: number, got: string): LowrankError {
  return bad(
    'safetensors.byteCount',
    `tensor ${quote(entry.name)}, ${entry.dtype} of shape [${entry.shape.join(', ')}]`,
    `${expected} bytes`,
    got,
  );
}

function bad(code: string, what: string, expected: string, got: string): LowrankError {
  return new LowrankError({ code, what: `safetensors to write: ${what}`, expected, got });
}
