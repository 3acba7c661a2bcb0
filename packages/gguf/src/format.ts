import { LowrankError } from '@lowrank/errors';

/** A value of a GGUF file's metadata. */
export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'i32s'; readonly value: readonly number[] }
  | { readonly type: 'f32s'; readonly value: readonly number[] };

/** Metadata by key, in the order in which it is written. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** A tensor to be written. */
export interface GgufTensor {
  readonly name: string;
  readonly type: 'F32' | 'F16';
  /** Outermost dimension first, as everywhere but in the file itself. */
  readonly shape: readonly number[];
  /** Row-major, little-endian; made when its turn comes. */
  read(): Promise<Uint8Array>;
}

/** A GGUF file before it is written: metadata, then tensors. */
export interface GgufFile {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufTensor[];
}

/** The format's numbers for types (ggml/include/gguf.h and ggml.h). */
const valueTypes = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const elementTypes = { strings: valueTypes.string, i32s: valueTypes.i32, f32s: valueTypes.f32 } as const;
const tensorTypes = { F32: { id: 0, bytes: 4 }, F16: { id: 1, bytes: 2 } } as const;

/** Where tensors begin: at multiples of this, counted from the end of the padded header. */
const alignment = 32;
const version = 3;

/**
 * A GGUF file (version 3, little-endian) as a stream of chunks: magic, counts, metadata, tensor infos, padding, then
 * the tensors, each padded to 32 bytes (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). One tensor at a
 * time is in memory.
 *
 * @throws LowrankError `gguf.duplicateName`, `gguf.byteCount`
 */
export async function* writeGguf({ metadata, tensors }: GgufFile): AsyncGenerator<Uint8Array, void, undefined> {
  const header = new ByteWriter();
  header.raw(new TextEncoder().encode('GGUF'));
  header.u32(version);
  header.u64(tensors.length);
  header.u64(metadata.size);
  for (const [key, value] of metadata) {
    header.string(key);
    writeValue(header, value);
  }
  const names = new Set<string>();
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    if (names.has(name))
      throw new LowrankError({
        code: 'gguf.duplicateName',
        what: `tensor ${name}`,
        expected: 'each name once',
        got: 'the same name twice',
      });
    names.add(name);
    header.string(name);
    header.u32(shape.length);
    for (const size of [...shape].reverse()) header.u64(size);
    header.u32(tensorTypes[type].id);
    header.u64(offset);
    offset += padded(byteCount(type, shape));
  }
  header.raw(new Uint8Array(padded(header.length) - header.length));
  yield header.bytes();
  for (const tensor of tensors) {
    const { name, type, shape } = tensor;
    const expected = byteCount(type, shape);
    const bytes = await tensor.read();
    if (bytes.byteLength !== expected)
      throw new LowrankError({
        code: 'gguf.byteCount',
        what: `tensor ${name}, ${type} of shape [${shape.join(', ')}]`,
        expected: `${expected} bytes`,
        got: String(bytes.byteLength),
      });
    yield bytes;
    if (padded(expected) > expected) yield new Uint8Array(padded(expected) - expected);
  }
}

const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
const byteCount = (type: GgufTensor['type'], shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, tensorTypes[type].bytes);

function writeValue(writer: ByteWriter, value: GgufValue): void {
  if (value.type === 'strings' || value.type === 'i32s' || value.type === 'f32s') {
    writer.u32(valueTypes.array);
    writer.u32(elementTypes[value.type]);
    writer.u64(value.value.length);
    if (value.type === 'strings') value.value.forEach((each) => writer.string(each));
    else if (value.type === 'i32s') value.value.forEach((each) => writer.u32(each));
    else value.value.forEach((each) => writer.f32(each));
    return;
  }
  writer.u32(valueTypes[value.type]);
  switch (value.type) {
    case 'string':
      writer.string(value.value);
      break;
    case 'bool':
      writer.raw(Uint8Array.of(value.value ? 1 : 0));
      break;
    case 'f32':
      writer.f32(value.value);
      break;
    default:
      writer.u32(value.value);
  }
}

/** Bytes that grow: a header with a vocabulary has hundreds of thousands of values. */
class ByteWriter {
  length = 0;
  private buffer = new Uint8Array(1 << 16);
  private view = new DataView(this.buffer.buffer);
  private readonly text = new TextEncoder();

  raw(bytes: Uint8Array): void {
    // `take` may replace the buffer: it comes first.
    const at = this.take(bytes.length);
    this.buffer.set(bytes, at);
  }

  string(value: string): void {
    const bytes = this.text.encode(value);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  /** Of a negative number too: the same 32 bits. */
  u32(value: number): void {
    const at = this.take(4);
    this.view.setUint32(at, value, true);
  }

  f32(value: number): void {
    const at = this.take(4);
    this.view.setFloat32(at, value, true);
  }

  u64(value: number): void {
    const at = this.take(8);
    this.view.setBigUint64(at, BigInt(value), true);
  }

  bytes(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  private take(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.buffer.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.buffer);
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}
