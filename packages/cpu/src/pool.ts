import type { Heap } from './heap.js';
import type { KernelExports } from './module.js';
import { maySleep, nodeModule } from './platform.js';

/** Bytes of scratch memory each thread has to itself; the kernels' layouts (attention's is the largest) fit in it. */
export const scratchBytes = 512 * 1024;
/** The control block's words: see `assembly/index.ts`. */
const controlBytes = 64;
const stopWord = 6;

interface WorkerLike {
  unref?(): void;
  terminate(): unknown;
}

interface NodeWorkers {
  Worker: new (
    code: string,
    options: { eval: true; workerData: unknown; stdout?: boolean },
  ) => WorkerLike & { unref(): void; on(event: 'error', listener: (error: unknown) => void): void };
}

/**
 * Everything a worker is: an instance on the shared memory that joins runs until it has to stop. No message passes
 * after the start.
 */
const workerBody = `({ module, memory, control, scratch }) => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.init(scratch);
  exports.work(control);
}`;

/**
 * Threads that walk a plan's records together over one memory. The calling thread takes part; workers that have not
 * started yet, or are busy elsewhere on the machine, are not waited for: units of work are taken, not assigned.
 */
export class Pool {
  readonly threads: number;
  private readonly exports: KernelExports;
  private readonly control: number;
  private readonly workers: WorkerLike[] = [];
  private readonly sleeps = maySleep() ? 1 : 0;

  constructor(
    private readonly heap: Heap,
    module: WebAssembly.Module,
    threads: number,
  ) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
    this.exports = exports as unknown as KernelExports;
    this.control = heap.allocate(controlBytes, 'thread control');
    this.exports.init(heap.allocate(scratchBytes, 'scratch memory'));
    for (let i = 1; i < threads; i++) {
      const worker = startWorker({
        module,
        memory: heap.memory,
        control: this.control,
        scratch: heap.allocate(scratchBytes, 'scratch memory'),
      });
      if (worker !== undefined) this.workers.push(worker);
    }
    this.threads = this.workers.length + 1;
  }

  /** Runs `count` records from an address; returns when all of them are done. */
  run(records: number, count: number): void {
    if (this.workers.length === 0) this.exports.runAlone(records, count);
    else this.exports.runTogether(this.control, records, count, this.sleeps);
  }

  dispose(): void {
    if (this.workers.length === 0) return;
    const words = new Int32Array(this.heap.memory.buffer, this.control, controlBytes / 4);
    Atomics.store(words, stopWord, 1);
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
    for (const worker of this.workers) worker.terminate();
    this.workers.length = 0;
  }
}

function startWorker(data: {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  control: number;
  scratch: number;
}): WorkerLike | undefined {
  const node = nodeModule<NodeWorkers>('node:worker_threads');
  try {
    if (node !== undefined) {
      const worker = new node.Worker(`(${workerBody})(require('node:worker_threads').workerData)`, {
        eval: true,
        workerData: data,
      });
      worker.on('error', () => undefined);
      worker.unref();
      return worker;
    }
    const url = URL.createObjectURL(
      new Blob([`onmessage = ({ data }) => (${workerBody})(data)`], { type: 'text/javascript' }),
    );
    const worker = new Worker(url);
    worker.postMessage(data);
    URL.revokeObjectURL(url);
    return worker;
  } catch {
    // A page's policy may forbid workers from blobs; one thread works too.
    return undefined;
  }
}
