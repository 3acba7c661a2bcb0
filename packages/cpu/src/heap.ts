import { LowrankError } from '@lowrank/errors';

const page = 65536;
/** Every block starts at a multiple of this: a cache line, and more than a SIMD vector. */
export const alignment = 64;
/** Kernels may read (never write) a vector beyond the last element of the last block. */
const guard = page;

export interface HeapOptions {
  /** Memory that worker threads can share. */
  shared: boolean;
  /** At most this many bytes; 4 GiB is what WebAssembly can address. */
  maximumBytes: number;
}

interface Gap {
  start: number;
  bytes: number;
}

/**
 * One growing WebAssembly memory and the blocks in it: first fit over gaps kept in order of address, neighbours joined
 * when a block is freed. Growing never moves a block; addresses stay good, JavaScript views do not, so take `bytes`
 * anew after an allocation.
 */
export class Heap {
  readonly memory: WebAssembly.Memory;
  private readonly limit: number;
  private readonly gaps: Gap[];
  private readonly blocks = new Map<number, number>();
  private view: Uint8Array;
  private end: number;

  constructor({ shared, maximumBytes }: HeapOptions) {
    this.memory = reserve(shared, Math.min(65536, Math.floor(maximumBytes / page)));
    this.end = this.memory.buffer.byteLength;
    // The first page stays empty: address 0 means "absent" in kernel parameters.
    this.gaps = [{ start: page, bytes: this.end - page - guard }];
    this.limit = maximumBytes;
    this.view = new Uint8Array(this.memory.buffer);
  }

  /** All memory, as it is now. */
  get bytes(): Uint8Array {
    if (this.view.buffer !== this.memory.buffer) this.view = new Uint8Array(this.memory.buffer);
    return this.view;
  }

  /** Address of a zero-filled block; throws a LowrankError when memory runs out. */
  allocate(bytes: number, label: string): number {
    const size = Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
    let index = this.gaps.findIndex((gap) => gap.bytes >= size);
    if (index < 0) {
      this.grow(size, label);
      index = this.gaps.findIndex((gap) => gap.bytes >= size);
    }
    const gap = this.gaps[index];
    if (gap === undefined) throw outOfMemory(label, bytes, this.limit);
    const address = gap.start;
    gap.start += size;
    gap.bytes -= size;
    if (gap.bytes === 0) this.gaps.splice(index, 1);
    this.blocks.set(address, size);
    this.bytes.fill(0, address, address + size);
    return address;
  }

  free(address: number): void {
    const bytes = this.blocks.get(address);
    if (bytes === undefined) return;
    this.blocks.delete(address);
    let at = this.gaps.findIndex((gap) => gap.start > address);
    if (at < 0) at = this.gaps.length;
    const before = this.gaps[at - 1];
    const after = this.gaps[at];
    const joinsBefore = before !== undefined && before.start + before.bytes === address;
    const joinsAfter = after !== undefined && address + bytes === after.start;
    if (joinsBefore && joinsAfter) {
      before.bytes += bytes + after.bytes;
      this.gaps.splice(at, 1);
    } else if (joinsBefore) before.bytes += bytes;
    else if (joinsAfter) {
      after.start = address;
      after.bytes += bytes;
    } else this.gaps.splice(at, 0, { start: address, bytes });
  }

  private grow(size: number, label: string): void {
    const last = this.gaps.at(-1);
    const loose = last !== undefined && last.start + last.bytes === this.end - guard ? last : undefined;
    const needed = size - (loose?.bytes ?? 0);
    // A little more than asked for, so that many small blocks do not grow the memory many times.
    const wanted = Math.max(needed, Math.min(this.end / 4, 64 * 1024 * 1024));
    const room = this.limit - this.end;
    const pages = Math.ceil(Math.min(wanted, Math.floor(room / page) * page) / page);
    if (needed > pages * page) throw outOfMemory(label, size, this.limit);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw outOfMemory(label, size, this.limit, cause);
    }
    const start = this.end - guard;
    this.end += pages * page;
    if (loose === undefined) this.gaps.push({ start, bytes: pages * page });
    else loose.bytes += pages * page;
  }
}

/**
 * Shared memory must name its maximum, and some systems do not let a tab reserve 4 GiB: ask for less until one is
 * granted.
 */
function reserve(shared: boolean, pages: number): WebAssembly.Memory {
  for (let maximum = pages; ; maximum = Math.floor(maximum / 2)) {
    try {
      return new WebAssembly.Memory({ initial: 32, maximum, shared });
    } catch (cause) {
      if (maximum < 1024) throw outOfMemory('WebAssembly memory', maximum * page, pages * page, cause);
    }
  }
}

function outOfMemory(label: string, bytes: number, limit: number, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'cpu.outOfMemory',
    what: `memory for ${label}`,
    expected: `room for ${bytes} bytes within the CPU backend's ${Math.round(limit / 2 ** 20)} MiB`,
    got: 'none',
    remedy:
      'Use a smaller batch, a shorter length or a smaller model, keep frozen weights in 16 bits, or free ' +
      'tensors with dispose().',
    cause,
  });
}
