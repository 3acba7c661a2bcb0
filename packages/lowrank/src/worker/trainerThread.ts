import type * as workerThreads from 'node:worker_threads';
import type { NodeEnd, WebEnd } from './port.js';
import { nodePort, webPort } from './port.js';
import { serve } from './serve.js';

// The worker's own file: of a browser, Deno or Bun, and of node:worker_threads.

const scope = globalThis as unknown as Partial<WebEnd> & {
  readonly process?: { getBuiltinModule?(name: string): unknown };
};

if (typeof scope.postMessage === 'function') serve(webPort(scope as WebEnd));
else {
  const node = scope.process?.getBuiltinModule?.('node:worker_threads') as typeof workerThreads | undefined;
  if (node?.parentPort) serve(nodePort(node.parentPort as NodeEnd));
}
