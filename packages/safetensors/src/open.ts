import { LowrankError } from '@lowrank/errors';
import type { ByteSource } from './byteSource.js';
import { checkRange } from './byteSource.js';
import type { TensorInfo } from './header.js';
import { headerLength, lengthBytes, parseHeader, quote } from './header.js';

/** Tensors by name, out of one file or many shards. Nothing is kept in memory but the header. */
export interface SafetensorsFile {
  /** What errors call it. */
  readonly name: string;
  /** The `__metadata__` of the header; empty where there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * All bytes of a tensor, little-endian and row-major. They may be a view on the source's memory: copy before writing
   * to them.
   */
  read(name: string): Promise<Uint8Array>;
  /** The bytes `start <= i < end` of a tensor, counted from its own beginning. */
  readRange(name: string, start: number, end: number): Promise<Uint8Array>;
}

/**
 * Opens a safetensors file: reads its header and checks all of it, but reads no tensor yet.
 *
 * Format: u64 little-endian header length N, N bytes of JSON, then the tensors' bytes without gaps
 * (https://github.com/huggingface/safetensors#format).
 *
 * @throws LowrankError `safetensors.tooShort`, `.headerTooLarge`, `.headerBeyondFile` and the codes of a bad header
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const fileBytes = await source.size();
  if (fileBytes < lengthBytes) {
    throw new LowrankError({
      code: 'safetensors.tooShort',
      what: source.name,
      expected: `at least ${lengthBytes} bytes`,
      got: `${fileBytes}`,
      remedy: 'The file is empty or was cut off; download or save it again.',
    });
  }
  const place = { file: source.name, fileBytes };
  const first = await source.read(0, lengthBytes);
  if (isLfsPointer(first)) throw lfsPointer(source.name);
  const headerBytes = headerLength(first, place);
  const header = await source.read(lengthBytes, lengthBytes + headerBytes);
  const { metadata, tensors } = parseHeader(header, { ...place, headerBytes });

  async function readRange(name: string, start: number, end: number): Promise<Uint8Array> {
    const tensor = tensorNamed({ name: source.name, tensors }, name);
    checkRange(`${source.name}: tensor ${quote(name)}`, { start, end, size: tensor.byteLength });
    return source.read(tensor.byteOffset + start, tensor.byteOffset + end);
  }
  return {
    name: source.name,
    metadata,
    tensors,
    readRange,
    read: async (name) => readRange(name, 0, tensorNamed({ name: source.name, tensors }, name).byteLength),
  };
}

/** What Git leaves in the place of a large file where Git LFS is not installed begins so. */
export function isLfsPointer(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, lengthBytes)) === 'version ';
}

/** The error for such a file. */
export function lfsPointer(name: string): LowrankError {
  return new LowrankError({
    code: 'safetensors.lfsPointer',
    what: name,
    expected: 'the file itself',
    got: 'a pointer of Git LFS, which stands in its place',
    remedy: 'Install Git LFS and run `git lfs pull` in that folder, or download the file.',
  });
}

/** The tensor of that name, or a LowrankError `safetensors.noTensor` that lists names which look like it. */
export function tensorNamed(file: Pick<SafetensorsFile, 'name' | 'tensors'>, name: string): TensorInfo {
  const tensor = file.tensors.get(name);
  if (tensor !== undefined) return tensor;
  const last = name.split('.').at(-2) ?? name;
  const alike = [...file.tensors.keys()].filter((other) => other.includes(last)).slice(0, 3);
  throw new LowrankError({
    code: 'safetensors.noTensor',
    what: `${file.name}: tensor ${quote(name)}`,
    expected: `one of its ${file.tensors.size} tensors`,
    got: 'no such name',
    remedy:
      alike.length > 0
        ? `Names like it: ${alike.map(quote).join(', ')}.`
        : 'Check that this is the file of the model you mean.',
  });
}
