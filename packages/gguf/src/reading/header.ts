import { LowrankError } from '@lowrank/errors';
import type { ByteSource } from '@lowrank/safetensors';
import { isLfsPointer, lfsPointer } from '@lowrank/safetensors';
import { HeaderCursor } from './headerCursor.js';
import type { ReadValue } from './headerCursor.js';
import { bytesOf, nameOfId, tensorTypes, typeOfId } from './tensorTypes.js';
import type { TensorTypeName } from './tensorTypes.js';

/** A tensor as a header describes it. */
export interface ReadTensor {
  readonly name: string;
  readonly type: TensorTypeName;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** Counted from the beginning of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface ReadHeader {
  readonly metadata: ReadonlyMap<string, ReadValue>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, ReadTensor>;
}

const remedy = "The file is damaged or was not written by llama.cpp's libraries: download or convert it again.";
/** The first piece that is read; a header that is longer is read again in a piece four times as long. */
const firstPiece = 1 << 20;
/** A vocabulary of 256,000 tokens with its merges takes some 20 MB. */
const largestHeader = 1 << 28;
/** Bytes that an entry of the metadata, and a tensor's description, take at least. */
const [leastEntry, leastTensor] = [13, 24];

const bad = (code: string, what: string, expected: string, got: string): LowrankError =>
  new LowrankError({ code: `gguf.${code}`, what, expected, got, remedy });

/**
 * Reads the header of a GGUF file (versions 2 and 3, little-endian) and checks all of it before a tensor is touched:
 * counts and lengths against the size of the file, names, types, shapes, and that every tensor lies within the file, at
 * a multiple of the alignment, and none over another (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * @throws LowrankError `gguf.magic`, `.version`, `.count`, `.truncated`, `.text`, `.duplicateName`, `.value`,
 * `.alignment`, `.tensorType`, `.tensorShape`, `.tensorOffset`, `.overlap`; `safetensors.lfsPointer`
 */
export async function readHeader(source: ByteSource): Promise<ReadHeader> {
  const fileBytes = await source.size();
  const most = Math.min(fileBytes, largestHeader);
  for (let piece = Math.min(most, firstPiece); ; piece = Math.min(most, 4 * piece)) {
    const bytes = await source.read(0, piece);
    if (isLfsPointer(bytes)) throw lfsPointer(source.name);
    const cursor = new HeaderCursor(bytes, { file: source.name, fileBytes });
    const header = cursor.within(() => parse(cursor));
    if (header !== undefined) return header;
    if (piece === most)
      throw bad(
        'truncated',
        source.name,
        most === fileBytes ? `more than its ${fileBytes} bytes` : `a header of at most ${most} bytes`,
        most === fileBytes ? 'an end within its header' : 'a longer one',
      );
  }
}

function parse(cursor: HeaderCursor): ReadHeader {
  const { file, fileBytes } = cursor;
  const magic = String.fromCharCode(...cursor.raw(4));
  if (magic !== 'GGUF') throw bad('magic', file, 'a file that begins with GGUF', JSON.stringify(magic));
  const version = cursor.u32();
  if (version !== 2 && version !== 3)
    throw bad(
      'version',
      file,
      'version 2 or 3, little-endian',
      version > 0xffff ? 'a file of the other byte order' : `version ${version}`,
    );
  const count = cursor.count('its number of tensors', leastTensor);
  const entries = cursor.count('its number of metadata entries', leastEntry);
  const metadata = new Map<string, ReadValue>();
  for (let i = 0; i < entries; i++) {
    const key = cursor.string('a key of the metadata');
    if (metadata.has(key)) throw bad('duplicateName', `${file}: ${cursor.quote(key)}`, 'each key once', 'it twice');
    metadata.set(key, cursor.value(key));
  }
  const alignment = alignmentOf(metadata, file);
  const described = Array.from({ length: count }, () => describe(cursor, alignment));
  const begin = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = described
    .map((tensor) => ({ ...tensor, byteOffset: begin + tensor.byteOffset }))
    .sort((a, b) => a.byteOffset - b.byteOffset);
  checkPlaces(tensors, file, fileBytes);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  if (byName.size !== count) {
    const names = described.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at) ?? '';
    throw bad('duplicateName', `${file}: tensor ${cursor.quote(twice)}`, 'each name once', 'the same name twice');
  }
  return { metadata, tensors: byName };
}

function alignmentOf(metadata: ReadonlyMap<string, ReadValue>, file: string): number {
  const given = metadata.get('general.alignment') ?? 32;
  if (typeof given === 'number' && given >= 8 && given <= 65_536 && Math.log2(given) % 1 === 0) return given;
  throw bad('alignment', `${file}: general.alignment`, 'a power of two from 8 to 65536', String(given));
}

/** A tensor; its offset is counted from the end of the header. */
function describe(cursor: HeaderCursor, alignment: number): ReadTensor {
  const { file } = cursor;
  const name = cursor.string('the name of a tensor');
  const what = `${file}: tensor ${cursor.quote(name)}`;
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > 4) throw bad('tensorShape', what, '1 to 4 dimensions', String(dimensions));
  const shape = Array.from({ length: dimensions }, () => cursor.u64(`${what}, a size`)).reverse();
  const id = cursor.u32();
  const byteOffset = cursor.u64(`${what}, its offset`);
  const type = typeOfId(id);
  if (type === undefined)
    throw new LowrankError({
      code: 'gguf.tensorType',
      what,
      expected: `one of ${Object.keys(tensorTypes).join(', ')}`,
      got: nameOfId(id),
      remedy: 'Use a file of another quantization of the model, such as Q4_K_M or Q8_0.',
    });
  const elements = shape.reduce((product, size) => product * size, 1);
  const row = shape.at(-1) ?? 0;
  if (!(elements > 0 && elements <= 2 ** 48))
    throw bad('tensorShape', what, 'sizes above 0 with a product up to 2^48', `[${shape.join(', ')}]`);
  if (row % tensorTypes[type].block !== 0)
    throw bad('tensorShape', `${what}, ${type}`, `rows of whole blocks of ${tensorTypes[type].block}`, String(row));
  if (byteOffset % alignment !== 0)
    throw bad('tensorOffset', `${what}, its offset`, `a multiple of ${alignment}`, String(byteOffset));
  return { name, type, shape, byteOffset, byteLength: bytesOf(type, elements) };
}

function checkPlaces(tensors: readonly ReadTensor[], file: string, fileBytes: number): void {
  let [end, before] = [0, ''];
  for (const { name, byteOffset, byteLength } of tensors) {
    const what = `${file}: tensor ${JSON.stringify(name)}`;
    if (byteOffset < end)
      throw bad('overlap', what, `bytes after those of ${JSON.stringify(before)}`, 'the same bytes in part');
    end = byteOffset + byteLength;
    before = name;
    if (end > fileBytes)
      throw bad('truncated', what, `a file of at least ${end} bytes`, `${fileBytes} bytes, as after a broken download`);
  }
}
