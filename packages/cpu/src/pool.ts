import { LowrankError } from '@lowrank/errors';
import { Control } from './control.js';
import type { Heap } from './heap.js';
import type { KernelExports } from './module.js';
import { maySleep, yieldToEventLoop } from './platform.js';
import type { PoolWorker } from './workers.js';
import { startWorker } from './workers.js';

/** Bytes of scratch memory each thread has to itself; the kernels' layouts (attention's is the largest) fit in it. */
export const scratchBytes = 512 * 1024;

/** What `runTogether` returns. */
const [finished, stalled] = [0, 1];

interface Records {
  readonly address: number;
  readonly count: number;
}

/**
 * Threads that walk a plan's records together over one memory. The calling thread takes part; workers that have not
 * started yet, or are busy elsewhere on the machine, are not waited for: units of work are taken, not assigned.
 *
 * A worker that breaks down or disappears in the middle of a run leaves the run half done. Everything on this memory
 * ends then with an error, `cpu.threadLost`, as on a GPU whose device was lost: another backend can go on from what was
 * saved.
 */
export class Pool {
  readonly threads: number;
  private readonly exports: KernelExports;
  private readonly control: Control;
  private readonly workers: PoolWorker[] = [];
  private readonly sleeps = maySleep() ? 1 : 0;
  private failure: LowrankError | undefined;
  private waiting: Promise<void> | undefined;
  /** What has stalled, until it is done. */
  private left: Records | undefined;

  constructor(heap: Heap, module: WebAssembly.Module, threads: number) {
    const { exports } = new WebAssembly.Instance(module, { env: { memory: heap.memory } });
    this.exports = exports as unknown as KernelExports;
    this.control = new Control(heap);
    this.exports.init(heap.allocate(scratchBytes, 'scratch memory'));
    for (let index = 0; index < threads - 1; index++) {
      const worker = startWorker({
        module,
        memory: heap.memory,
        control: this.control.address,
        scratch: heap.allocate(scratchBytes, 'scratch memory'),
        index,
      });
      if (worker !== undefined) this.workers.push(worker);
    }
    this.threads = this.workers.length + 1;
  }

  /** The run that has stalled; resolves when it is done. Undefined, nearly always, where there is none. */
  get stalled(): Promise<void> | undefined {
    return this.waiting;
  }

  /** @throws LowrankError `cpu.threadLost` once a thread has been lost in a run */
  check(): void {
    if (this.failure !== undefined) throw this.failure;
    // Whoever asks is about to change the memory.
    while (this.left !== undefined) this.walk(this.left, 'rejoin');
  }

  /**
   * Runs `count` records from an address. All of them are done when it returns, or, where it returns a promise, when
   * that resolves: a run in which nothing moves for half a second may wait for a worker that is no more, and only the
   * event loop tells.
   *
   * @throws LowrankError `cpu.threadLost`
   */
  run(address: number, count: number): Promise<void> | undefined {
    this.walk({ address, count }, 'runTogether');
    return this.left === undefined ? undefined : (this.waiting = this.wait());
  }

  dispose(): void {
    if (this.left !== undefined) this.failure ??= lost('the backend was disposed of in the middle of a run');
    this.end();
  }

  private walk(records: Records, how: 'runTogether' | 'rejoin'): void {
    const { address, count } = records;
    this.left = undefined;
    try {
      if (this.threads === 1) return this.exports.runAlone(address, count);
      const state = this.exports[how](this.control.address, address, count, this.sleeps);
      if (state === stalled) this.left = records;
      if (state === finished || state === stalled) return;
    } catch (error) {
      throw this.fail(String(error), error);
    }
    throw this.fail(this.control.failure);
  }

  private async wait(): Promise<void> {
    try {
      while (this.left !== undefined) {
        await yieldToEventLoop();
        if (this.failure !== undefined) throw this.failure;
        const gone = await this.gone();
        if (gone !== undefined) throw this.fail(gone);
        // Another caller may have seen it through.
        if (this.left !== undefined) this.walk(this.left, 'rejoin');
      }
    } finally {
      this.left = undefined;
      this.waiting = undefined;
    }
  }

  private async gone(): Promise<string | undefined> {
    for (const [index, worker] of this.workers.entries()) {
      const end = this.control.hasStarted(index) ? await worker.end() : undefined;
      if (end !== undefined) return end;
    }
    return undefined;
  }

  private fail(reason: string, cause?: unknown): LowrankError {
    this.failure ??= lost(reason, cause);
    this.end();
    return this.failure;
  }

  private end(): void {
    if (this.workers.length > 0) this.control.stop();
    for (const worker of this.workers) worker.terminate();
    this.workers.length = 0;
  }
}

function lost(reason: string, cause?: unknown): LowrankError {
  return new LowrankError({
    code: 'cpu.threadLost',
    what: 'a thread of the CPU backend',
    expected: 'threads that finish what they begin',
    got: reason,
    remedy:
      'What was being computed is half done: make another backend, and go on from what was saved. With one thread ' +
      'there is no other one to lose.',
    cause,
  });
}
