/**
 * Where this runs, asked without an import of Node's modules, so that a bundler for the browser has nothing to trip
 * over.
 */
interface NodeProcess {
  getBuiltinModule?(name: string): unknown;
  readonly versions?: { readonly node?: string };
}

/** A module of Node's own, or undefined elsewhere. */
export function nodeModule<T>(name: string): T | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  if (process?.versions?.node === undefined) return undefined;
  return process.getBuiltinModule?.(name) as T | undefined;
}

/** Cores this process may use. */
export function coreCount(): number {
  const os = nodeModule<{ availableParallelism(): number }>('node:os');
  if (os !== undefined) return os.availableParallelism();
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/**
 * Whether memory can be shared with worker threads: always in Node, in browsers only on cross-origin isolated pages.
 */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  return (
    nodeModule('node:worker_threads') !== undefined ||
    (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true
  );
}

/** Whether this thread may sleep in Atomics.wait: not a browser's main thread. */
export function maySleep(): boolean {
  return nodeModule('node:worker_threads') !== undefined || !('document' in globalThis);
}

/** Lets timers, signals and input have a turn. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { setImmediate: soon } = globalThis as { setImmediate?: (callback: () => void) => unknown };
    if (soon !== undefined) soon(resolve);
    else {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }
  });
}
