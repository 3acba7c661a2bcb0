/** One end of a wire between two threads. */
export interface Port {
  post(message: unknown, transfer: readonly Transferable[]): void;
  /** Calls back with each message from now on. */
  listen(onMessage: (message: unknown) => void): void;
}

/** A Worker, a MessagePort or a worker's own scope, of browsers, Deno and Bun. */
export interface WebEnd {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  start?(): void;
}

/** A Worker or MessagePort of node:worker_threads. */
export interface NodeEnd {
  postMessage(message: unknown, transfer: readonly never[]): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

export function webPort(end: WebEnd): Port {
  return {
    post: (message, transfer) => end.postMessage(message, [...transfer]),
    listen(onMessage) {
      end.addEventListener('message', ({ data }) => onMessage(data));
      end.start?.();
    },
  };
}

export function nodePort(end: NodeEnd): Port {
  return {
    post: (message, transfer) => end.postMessage(message, transfer as readonly never[]),
    listen: (onMessage) => void end.on('message', onMessage),
  };
}
