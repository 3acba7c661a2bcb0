import type { RequestListener } from 'node:http';
import { createServer } from 'node:http';

export interface Loopback extends AsyncDisposable {
  readonly url: string;
  /** `METHOD path range?` of each request. */
  readonly requests: string[];
  /** Authorization headers seen. */
  readonly tokens: Set<string | undefined>;
}

/** A server of this process, on a port of its own. */
export async function loopback(listener: RequestListener): Promise<Loopback> {
  const requests: string[] = [];
  const tokens = new Set<string | undefined>();
  const server = createServer((request, response) => {
    requests.push([request.method, request.url, request.headers.range].filter((part) => part !== undefined).join(' '));
    tokens.add(request.headers.authorization);
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    requests,
    tokens,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
