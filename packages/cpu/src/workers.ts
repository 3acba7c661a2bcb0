import { workerBody } from './control.js';
import { nodeModule } from './platform.js';

/** What a worker needs to start. */
export interface WorkerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly scratch: number;
  /** Below 31: its bit among those that have started. */
  readonly index: number;
}

/** A thread that was started, and perhaps is there. */
export interface PoolWorker {
  /** Why it is no more; undefined while it lives. To be asked again after the event loop has had a turn. */
  end(): Promise<string | undefined>;
  terminate(): void;
}

interface NodeWorker {
  unref(): void;
  terminate(): unknown;
  on(event: 'error', listener: (error: unknown) => void): void;
  on(event: 'exit', listener: (code: number) => void): void;
}

interface NodeWorkers {
  Worker: new (code: string, options: { eval: true; workerData: WorkerData }) => NodeWorker;
}

/** Starts a thread, or returns undefined where that is forbidden. */
export function startWorker(data: WorkerData): PoolWorker | undefined {
  const node = nodeModule<NodeWorkers>('node:worker_threads');
  try {
    return node === undefined ? inPage(data) : inNode(node, data);
  } catch {
    // A page's policy may forbid workers from blobs; one thread works too.
    return undefined;
  }
}

function inNode({ Worker: NodeThread }: NodeWorkers, workerData: WorkerData): PoolWorker {
  const worker = new NodeThread(`(${workerBody})(require('node:worker_threads').workerData)`, {
    eval: true,
    workerData,
  });
  let end: string | undefined;
  worker.on('error', (error) => (end = String(error)));
  worker.on('exit', (code) => (end ??= `it exited with code ${code}`));
  worker.unref();
  return { end: () => Promise.resolve(end), terminate: () => void worker.terminate() };
}

/** No event says that a page's worker is gone, but the browser gives up the lock that it held. */
function inPage(data: WorkerData): PoolWorker {
  const lock = `lowrank-${crypto.randomUUID()}`;
  const source = `onmessage = ({ data: { lock, ...data } }) => {
    const start = () => (${workerBody})(data);
    const { locks } = navigator;
    if (locks === undefined) start();
    else locks.request(lock, start).catch(start);
  }`;
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  const worker = new Worker(url);
  let end: string | undefined;
  worker.onerror = ({ message }) => void (end = message || 'it could not start');
  worker.postMessage({ ...data, lock });
  URL.revokeObjectURL(url);
  return {
    async end() {
      if (end !== undefined || navigator.locks === undefined) return end;
      const { held = [] } = await navigator.locks.query();
      return held.some(({ name }) => name === lock) ? undefined : 'the browser ended it';
    },
    terminate: () => worker.terminate(),
  };
}
