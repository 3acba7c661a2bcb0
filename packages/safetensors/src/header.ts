import { LowrankError, parseJson, shown } from '@lowrank/errors';
import type { SafetensorsDtype } from './dtype.js';
import { dtypeBytes, isSafetensorsDtype, safetensorsDtypes } from './dtype.js';
import { repeatedKey } from './jsonKeys.js';

/** One tensor as the header describes it. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Where its bytes begin, counted from the beginning of the file. */
  readonly byteOffset: number;
  /** Product of the shape times the bytes of the dtype. */
  readonly byteLength: number;
  /** The name of the source it lies in: with shards, the shard. */
  readonly file: string;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** The reference library's limit (MAX_HEADER_SIZE in safetensors/src/tensor.rs). */
export const largestHeader = 100_000_000;

/** Bytes of the little-endian header length at the beginning of a file. */
export const lengthBytes = 8;

export interface HeaderPlace {
  readonly file: string;
  readonly headerBytes: number;
  readonly fileBytes: number;
}

const copyAgain = 'The file is damaged or was not written by a safetensors library; download or save it again.';

/** The header length from a file's first 8 bytes, refused where the file cannot hold such a header. */
export function headerLength(first: Uint8Array, place: { file: string; fileBytes: number }): number {
  const length = new DataView(first.buffer, first.byteOffset, first.byteLength).getBigUint64(0, true);
  if (length > BigInt(largestHeader)) {
    throw bad(
      'safetensors.headerTooLarge',
      `${place.file}: header length`,
      `at most ${largestHeader} bytes`,
      `${length} bytes`,
    );
  }
  if (Number(length) > place.fileBytes - lengthBytes) {
    throw bad(
      'safetensors.headerBeyondFile',
      `${place.file}: header length`,
      `at most the ${place.fileBytes - lengthBytes} bytes that follow`,
      `${length}`,
    );
  }
  return Number(length);
}

/**
 * Reads a header and checks all of it before any tensor is touched. The rules are those of the reference library
 * (`Metadata::validate` in safetensors/src/tensor.rs): the tensors' bytes cover the rest of the file without gap or
 * overlap, and each has as many bytes as its shape and dtype say. Names that stand twice are refused too, since readers
 * disagree on which one counts.
 *
 * @throws LowrankError with a code of its own for each way a header can be wrong: `safetensors.headerEncoding`,
 * `.headerJson`, `.headerObject`, `.duplicateName`, `.metadata`, `.tensorInfo`, `.dtype`, `.shape`, `.shapeOverflow`,
 * `.offsets`, `.byteCount`, `.overlap`, `.hole`, `.truncated`, `.trailingBytes`
 */
export function parseHeader(bytes: Uint8Array, place: HeaderPlace): Header {
  const { file } = place;
  const text = decodeText(bytes, file);
  const entries = parseObject(text, file);
  checkUnicode(entries, file);
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw duplicate(file, repeated.key, repeated.path);

  let metadata: Record<string, string> = {};
  const tensors: TensorInfo[] = [];
  for (const [name, value] of Object.entries(entries)) {
    if (name === '__metadata__') metadata = parseMetadata(value, file);
    else tensors.push(parseTensor(name, value, place));
  }
  tensors.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkCover(tensors, place);
  return { metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw bad('safetensors.headerEncoding', `${file}: header`, 'UTF-8 text', `bytes that are none (${message(cause)})`);
  }
}

function parseObject(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw bad('safetensors.headerJson', `${file}: header`, 'JSON', `${quote(text.slice(0, 40))} (${message(cause)})`);
  }
  if (!isRecord(value))
    throw bad('safetensors.headerObject', `${file}: header`, 'a JSON object of tensors', kindOf(value));
  return value;
}

/**
 * JSON escapes can spell half a surrogate pair, which is no text: the reference library refuses it, and no writer could
 * write it again.
 */
function checkUnicode(entries: Record<string, unknown>, file: string): void {
  const metadata = entries['__metadata__'];
  const texts = [...Object.keys(entries), ...(isRecord(metadata) ? Object.entries(metadata).flat() : [])];
  const broken = texts.find((text) => typeof text === 'string' && /\p{Surrogate}/u.test(text));
  if (broken !== undefined)
    throw bad(
      'safetensors.headerEncoding',
      `${file}: ${quote(String(broken))}`,
      'Unicode text',
      'half a surrogate pair',
    );
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (!isRecord(value))
    throw bad('safetensors.metadata', `${file}: __metadata__`, 'an object of strings', kindOf(value));
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string')
      throw bad('safetensors.metadata', `${file}: __metadata__ ${quote(key)}`, 'a string', kindOf(text));
    metadata[key] = text;
  }
  return metadata;
}

function parseTensor(name: string, value: unknown, place: HeaderPlace): TensorInfo {
  const what = `${place.file}: tensor ${quote(name)}`;
  if (!isRecord(value))
    throw bad('safetensors.tensorInfo', what, 'an object with dtype, shape and data_offsets', kindOf(value));
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype))
    throw bad('safetensors.dtype', `${what}, dtype`, `one of ${safetensorsDtypes.join(', ')}`, kindOf(dtype));
  const dims = parseShape(shape, what);
  const size = byteCount(dims, dtype, what);
  const [start, end] = parseOffsets(offsets, what);
  if (end - start !== size) {
    throw bad(
      'safetensors.byteCount',
      `${what}, ${dtype} of shape [${dims.join(', ')}]`,
      `${size} bytes`,
      `${end - start} (data_offsets [${start}, ${end}])`,
    );
  }
  const room = place.fileBytes - lengthBytes - place.headerBytes;
  if (end > room)
    throw bad(
      'safetensors.truncated',
      what,
      `a file of at least ${lengthBytes + place.headerBytes + end} bytes`,
      `${place.fileBytes}`,
    );
  return {
    name,
    dtype,
    shape: dims,
    byteOffset: lengthBytes + place.headerBytes + start,
    byteLength: size,
    file: place.file,
  };
}

function parseShape(shape: unknown, what: string): number[] {
  if (!Array.isArray(shape))
    throw bad('safetensors.shape', `${what}, shape`, 'an array of whole numbers', kindOf(shape));
  return shape.map((dim: unknown) => {
    if (!isCount(dim))
      throw bad('safetensors.shape', `${what}, shape`, 'whole numbers of at least 0, up to 2^53', kindOf(dim));
    return dim + 0; // -0 becomes 0
  });
}

/** Product of the dims times the bytes of the dtype, refused where a double no longer counts exactly. */
function byteCount(shape: readonly number[], dtype: SafetensorsDtype, what: string): number {
  let size = dtypeBytes(dtype);
  for (const dim of shape) {
    size *= dim;
    if (size > Number.MAX_SAFE_INTEGER)
      throw bad('safetensors.shapeOverflow', `${what}, shape`, 'a product below 2^53 bytes', `[${shape.join(', ')}]`);
  }
  return size;
}

function parseOffsets(offsets: unknown, what: string): [number, number] {
  const [start, end]: unknown[] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!isCount(start) || !isCount(end) || end < start) {
    throw bad(
      'safetensors.offsets',
      `${what}, data_offsets`,
      'two whole numbers [begin, end] with begin <= end',
      kindOf(offsets),
    );
  }
  return [start + 0, end + 0];
}

function checkCover(tensors: readonly TensorInfo[], place: HeaderPlace): void {
  const begin = lengthBytes + place.headerBytes;
  let next = begin;
  let before = 'the header';
  for (const { name, byteOffset, byteLength } of tensors) {
    const what = `${place.file}: tensor ${quote(name)}`;
    const expected = `its bytes to begin at ${next - begin}, right after ${before}`;
    if (byteOffset < next) throw bad('safetensors.overlap', what, expected, `${byteOffset - begin}, which overlaps it`);
    if (byteOffset > next)
      throw bad(
        'safetensors.hole',
        what,
        expected,
        `${byteOffset - begin}, which leaves a hole (the format allows none)`,
      );
    next = byteOffset + byteLength;
    before = quote(name);
  }
  if (next !== place.fileBytes) {
    throw bad(
      'safetensors.trailingBytes',
      place.file,
      `${next} bytes, the end of ${before}`,
      `${place.fileBytes} bytes`,
    );
  }
}

function duplicate(file: string, key: string, path: readonly string[]): LowrankError {
  const where = path.length === 0 ? '' : ` in ${quote(path.join('.'))}`;
  return bad('safetensors.duplicateName', `${file}: ${quote(key)}${where}`, 'each name once', 'the same name twice');
}

function bad(code: string, what: string, expected: string, got: string): LowrankError {
  return new LowrankError({ code, what, expected, got, remedy: copyAgain });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** A short text of a JSON value, for messages: hostile ones may be long. */
export function kindOf(value: unknown): string {
  const text = shown(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A name in quotes, shortened and with control characters escaped, so that a hostile one cannot draw on a terminal. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}...` : text);
}

function message(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, 80) : 'unknown';
}
