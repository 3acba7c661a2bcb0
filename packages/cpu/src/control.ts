import type { Heap } from './heap.js';

/** Words of the control block that both sides know: see `assembly/index.ts`. */
const [epochWord, stopWord, failedWord] = [0, 6, 7];
/** Words of this file and of `workers.ts` alone: who has said why it failed, how many bytes that takes, who started. */
export const [claimWord, lengthWord, startedWord] = [9, 10, 11];
/** Bytes of the words; after them comes what a worker says of its failure, in UTF-8. */
export const messageStart = 64;
const controlBytes = 512;

/** The words by which the threads of a pool know of each other. */
export class Control {
  readonly address: number;

  constructor(private readonly heap: Heap) {
    this.address = heap.allocate(controlBytes, 'thread control');
  }

  /** Whether the worker of this number has begun to look for work. */
  hasStarted(index: number): boolean {
    return (Atomics.load(this.words, startedWord) & (1 << index)) !== 0;
  }

  /** What the worker said that failed; undefined where it said nothing. */
  get failure(): string {
    const bytes = this.heap.bytes.slice(this.address + messageStart, this.address + controlBytes);
    return new TextDecoder().decode(bytes.subarray(0, Atomics.load(this.words, lengthWord)));
  }

  /** Makes all workers leave. */
  stop(): void {
    const { words } = this;
    Atomics.store(words, stopWord, 1);
    Atomics.store(words, failedWord, 1);
    Atomics.add(words, epochWord, 1);
    Atomics.notify(words, epochWord);
  }

  private get words(): Int32Array {
    return new Int32Array(this.heap.memory.buffer, this.address, messageStart / 4);
  }
}

/**
 * Everything a worker is, as its source: an instance on the shared memory that joins runs until it has to stop. No
 * message passes after the start. What it throws then, it writes into the control block, since nobody hears a message
 * while the calling thread waits. One that cannot start is no failure: the others do the work.
 */
export const workerBody = `({ module, memory, control, scratch, index }) => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.init(scratch);
  const words = new Int32Array(memory.buffer, control, ${messageStart / 4});
  Atomics.or(words, ${startedWord}, 1 << index);
  try {
    exports.work(control);
  } catch (error) {
    if (Atomics.compareExchange(words, ${claimWord}, 0, 1) === 0) {
      const text = new TextEncoder().encode(String(error)).slice(0, ${controlBytes - messageStart});
      new Uint8Array(memory.buffer, control + ${messageStart}, text.length).set(text);
      Atomics.store(words, ${lengthWord}, text.length);
      Atomics.store(words, ${failedWord}, 1);
    }
  }
}`;
