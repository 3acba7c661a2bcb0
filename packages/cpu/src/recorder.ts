import type { KernelId } from './kernelIds.js';
import type { Heap } from './heap.js';

const chunkBytes = 16384;
/** Words of one record: kernel, parameters, units, grain, and two counters of the runner's. */
export const recordWords = 6;
/** A chunk of work below about this many elementary operations costs more to hand out than to do. */
const smallestWork = 8192;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bit pattern of a number as f32, for a parameter word. */
export function f32Bits(value: number): number {
  float[0] = value;
  return bits[0] ?? 0;
}

/**
 * Builds what a plan is replayed from: parameter blocks at fixed addresses, and records that name a kernel, its
 * parameters and its units of work. Replaying touches neither JavaScript objects nor the allocator.
 */
export class Recorder {
  private readonly words: number[] = [];
  private readonly chunks: number[] = [];
  private free = 0;
  private next = 0;

  constructor(
    private readonly heap: Heap,
    readonly threads: number,
  ) {}

  /** Copies words (numbers, addresses, `f32Bits`) into memory that lives as long as the plan; returns the address. */
  parameters(words: readonly number[]): number {
    const bytes = words.length * 4;
    if (bytes > this.free) {
      this.free = Math.max(chunkBytes, bytes);
      this.next = this.heap.allocate(this.free, 'kernel parameters');
      this.chunks.push(this.next);
    }
    const address = this.next;
    new Uint32Array(this.heap.memory.buffer, address, words.length).set(words);
    this.next += bytes;
    this.free -= bytes;
    return address;
  }

  /**
   * Adds a kernel launch over `units` independent units of about `work` elementary operations each.
   * The launches of a plan run in order; the units of one launch in any order, on any thread.
   */
  launch(kernel: KernelId, words: readonly number[], units: number, work: number): void {
    if (units === 0) return;
    const grain = Math.max(1, Math.ceil(smallestWork / work), Math.floor(units / (this.threads * 8)));
    this.words.push(kernel, this.parameters(words), units, grain, 0, 0);
  }

  get count(): number {
    return this.words.length / recordWords;
  }

  /** Address of the finished records. */
  finish(): number {
    const address = this.heap.allocate(Math.max(4, this.words.length * 4), 'plan records');
    new Uint32Array(this.heap.memory.buffer, address, this.words.length).set(this.words);
    this.chunks.push(address);
    return address;
  }

  dispose(): void {
    for (const chunk of this.chunks) this.heap.free(chunk);
    this.chunks.length = 0;
  }
}
