import type * as workerThreads from 'node:worker_threads';
import type { NodeEnd, Port, WebEnd } from './port.js';
import { nodePort, webPort } from './port.js';

/** A worker of a browser, Deno or Bun, or of node:worker_threads. */
export type AnyWorker = Worker | NodeWorker;

/** As much of a Worker of node:worker_threads as is used: compilers for browsers do not know that module. */
export interface NodeWorker extends NodeEnd {
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  terminate(): unknown;
  ref(): void;
  unref(): void;
}

/** A worker that runs `trainerThread.ts`. */
export interface OpenedWorker {
  readonly port: Port;
  /** Calls back, maybe more than once, with what ended the worker. */
  onDeath(listener: (reason: string, cause?: unknown) => void): void;
  terminate(): void;
  /** Whether Node waits for it before it exits. */
  keepAlive(busy: boolean): void;
}

export function openWorker(make: () => AnyWorker = ownWorker): OpenedWorker {
  const worker = make();
  return 'on' in worker ? nodeWorker(worker) : webWorker(worker);
}

function ownWorker(): AnyWorker {
  // In these words, which bundlers know.
  if (typeof Worker === 'function')
    return new Worker(new URL('./trainerThread.js', import.meta.url), { type: 'module' });
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const node = process?.getBuiltinModule?.('node:worker_threads') as typeof workerThreads;
  // Not in those words: it is no browser's.
  return new node.Worker(new URL(import.meta.url.replace(/[^/]*$/, 'trainerThread.js')), {
    // A thread's own default is smaller than a process's.
    resourceLimits: { maxOldGenerationSizeMb: heapLimit(process) },
  });
}

function heapLimit(process: { getBuiltinModule?(name: string): unknown } | undefined): number {
  const v8 = process?.getBuiltinModule?.('node:v8') as { getHeapStatistics(): { heap_size_limit: number } };
  return Math.floor(v8.getHeapStatistics().heap_size_limit / 2 ** 20);
}

function webWorker(worker: Worker): OpenedWorker {
  return {
    port: webPort(worker as WebEnd),
    onDeath(listener) {
      // Without a message where the file itself could not be had.
      worker.addEventListener('error', ({ message, error }) => listener(message || 'its file did not load', error));
    },
    terminate: () => worker.terminate(),
    keepAlive: (busy) => {
      const { ref, unref } = worker as { ref?: () => void; unref?: () => void };
      (busy ? ref : unref)?.call(worker);
    },
  };
}

function nodeWorker(worker: NodeWorker): OpenedWorker {
  return {
    port: nodePort(worker),
    onDeath(listener) {
      worker.on('error', (error) => listener(error instanceof Error ? error.message : String(error), error));
      worker.on('exit', (code) => listener(`it ended with code ${code}`));
    },
    terminate: () => void worker.terminate(),
    keepAlive: (busy) => (busy ? worker.ref() : worker.unref()),
  };
}
