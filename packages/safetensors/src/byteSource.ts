import { LowrankError } from '@lowrank/errors';

/**
 * Bytes that can be read by range: a file, a Blob, a URL, an array. It knows nothing of tensors, and holds nothing open
 * between reads, so there is nothing to close.
 */
export interface ByteSource {
  /** What errors call it: a path, a file name, a URL. */
  readonly name: string;
  /** Total length in bytes. */
  size(): Promise<number>;
  /** The bytes `start <= i < end`, exactly `end - start` of them; a LowrankError where they cannot be had. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Bytes already in memory. `read` returns views on them, not copies. */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return {
    name,
    size: () => Promise.resolve(bytes.byteLength),
    read: async (start, end) => {
      checkRange(name, { start, end, size: bytes.byteLength });
      return bytes.subarray(start, end);
    },
  };
}

/** A Blob or a File (a picked file, a file of the origin's private file system). Only the ranges asked for are read. */
export function blobSource(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob'): ByteSource {
  return {
    name,
    size: () => Promise.resolve(blob.size),
    read: async (start, end) => {
      checkRange(name, { start, end, size: blob.size });
      try {
        return new Uint8Array(await blob.slice(start, end).arrayBuffer());
      } catch (cause) {
        throw unreadable(name, cause, 'Pick the file again: it may have been moved, changed or removed since.');
      }
    },
  };
}

/** Refuses a range that is no range, or reaches beyond the source. */
export function checkRange(name: string, range: { start: number; end: number; size: number }): void {
  const { start, end, size } = range;
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size) return;
  throw new LowrankError({
    code: 'safetensors.range',
    what: `${name}: bytes ${start} to ${end}`,
    expected: `a range within its ${size} bytes`,
    got: end > size ? `an end ${end - size} bytes beyond it` : 'none',
    remedy: 'The file is shorter than it should be, or the range is wrong; download or copy it again.',
  });
}

/** Memory for a range, or a readable error where there is not enough. */
export function allocate(name: string, bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new LowrankError({
      code: 'safetensors.memory',
      what: `${name}: a read of ${bytes} bytes`,
      expected: 'that much memory in one piece',
      got: 'less',
      remedy: 'Read the tensor in smaller pieces with readRange.',
      cause,
    });
  }
}

export function unreadable(name: string, cause: unknown, remedy: string): LowrankError {
  return new LowrankError({
    code: 'safetensors.unreadable',
    what: name,
    expected: 'a file that can be read',
    got: cause instanceof Error ? cause.message : String(cause),
    remedy,
    cause,
  });
}
