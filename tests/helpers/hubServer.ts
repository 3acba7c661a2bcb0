import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

/** What a test does to the server while it runs. */
export interface Mischief {
  /** The next bodies of this file break off after so many bytes. */
  readonly cut: Map<string, { bytes: number; times: number }>;
  /** The next bodies of this file have one byte flipped. */
  readonly flip: Map<string, number>;
  /** Answers every request with this status and headers. */
  refuse: { readonly status: number; readonly headers: Readonly<Record<string, string>> } | undefined;
  /** Ranges are ignored. */
  noRanges: boolean;
  /** Answers what it likes; true where it did. */
  lie: ((request: IncomingMessage, response: ServerResponse, path: string) => boolean) | undefined;
}

export interface HubServer extends Mischief, AsyncDisposable {
  readonly url: string;
  /** `METHOD path range?` of each request. */
  readonly requests: string[];
  /** Authorization headers seen. */
  readonly tokens: Set<string | undefined>;
  /** Names to bytes; may be changed. */
  readonly files: Map<string, Uint8Array>;
}

export const repo = 'tiny/llama';
export const commit = '0123456789abcdef0123456789abcdef01234567';
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitBlob = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/**
 * A hub with one repository, tiny/llama unless it is named, at one commit on branch main, as the Hugging Face hub
 * answers: its API, small files from the repository, safetensors by a redirect to a store (`/store/…`). The same files
 * lie below `/plain/` as on any web server.
 */
export async function hubServer(
  given: Readonly<Record<string, Uint8Array>>,
  named = repo,
  tls?: { readonly key: string; readonly cert: string },
): Promise<HubServer> {
  const files = new Map(Object.entries(given));
  const requests: string[] = [];
  const tokens = new Set<string | undefined>();
  const mischief: Mischief = { cut: new Map(), flip: new Map(), refuse: undefined, noRanges: false, lie: undefined };
  const hub: Hub = Object.assign(mischief, { files, requests, tokens, repository: named });
  const listener = (request: IncomingMessage, response: ServerResponse): void => answer(request, response, hub);
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const url = `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`;
  return Object.assign(hub, {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

type Hub = Omit<HubServer, 'url' | typeof Symbol.asyncDispose> & { readonly repository: string };

function answer(request: IncomingMessage, response: ServerResponse, hub: Hub): void {
  const path = new URL(request.url ?? '/', 'http://hub').pathname;
  hub.requests.push([request.method, path, request.headers.range].filter((part) => part !== undefined).join(' '));
  hub.tokens.add(request.headers.authorization);
  if (hub.lie?.(request, response, path) === true) return undefined;
  const cors = { 'Access-Control-Allow-Origin': '*' };
  const json = (status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...cors, ...headers });
    response.end(JSON.stringify(value));
  };
  const { repository } = hub;
  if (hub.refuse !== undefined) return json(hub.refuse.status, { error: 'refused' }, hub.refuse.headers);
  if (path === `/api/models/${repository}/revision/main`)
    return json(200, {
      _id: '1',
      id: repository,
      sha: commit,
      private: false,
      downloads: 0,
      gated: false,
      likes: 0,
      lastModified: '2026-01-01T00:00:00.000Z',
    });
  if (path === `/api/models/${repository}/tree/${commit}`)
    return json(
      200,
      [...hub.files].map(([name, bytes]) => treeEntry(name, bytes)),
    );
  if (path.startsWith(`/api/models/${repository}/`))
    return json(404, { error: 'Invalid rev id' }, { 'X-Error-Code': 'RevisionNotFound' });
  const resolved = `/${repository}/resolve/${commit}/`;
  const name = decodeURIComponent(path.split('/').at(-1) ?? '');
  if (path.startsWith(resolved) && isLarge(name)) {
    response.writeHead(302, { Location: `/store/${name}`, ...cors });
    response.end();
    return undefined;
  }
  if (path.startsWith(resolved) || path.startsWith('/store/') || path.startsWith('/plain/'))
    return sendFile(name, request, response, hub);
  return json(401, { error: 'Repository not found' }, { 'X-Error-Code': 'RepoNotFound' });
}

const isLarge = (name: string): boolean => name.endsWith('.safetensors');

function treeEntry(path: string, bytes: Uint8Array): object {
  const size = bytes.length;
  return isLarge(path)
    ? { type: 'file', path, size, oid: gitBlob(new Uint8Array(3)), lfs: { oid: sha256(bytes), size, pointerSize: 130 } }
    : { type: 'file', path, size, oid: gitBlob(bytes) };
}

function sendFile(name: string, request: IncomingMessage, response: ServerResponse, hub: Hub): void {
  const stored = hub.files.get(name);
  if (stored === undefined) {
    response.writeHead(404, { 'Access-Control-Allow-Origin': '*' });
    response.end();
    return;
  }
  const etag = `"${sha256(stored).slice(0, 12)}"`;
  const asked = hub.noRanges ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const fits = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const start = asked && fits ? Number(asked[1]) : 0;
  const end = asked?.[2] && fits ? Number(asked[2]) + 1 : stored.length;
  const headers = { 'Access-Control-Allow-Origin': '*', ETag: etag, 'Content-Length': String(end - start) };
  if (asked && fits)
    response.writeHead(206, { ...headers, 'Content-Range': `bytes ${start}-${end - 1}/${stored.length}` });
  else response.writeHead(200, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const body = Uint8Array.from(stored.subarray(start, end));
  const flips = hub.flip.get(name) ?? 0;
  if (flips > 0 && body.length > 0) {
    hub.flip.set(name, flips - 1);
    body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 1;
  }
  const cut = hub.cut.get(name);
  if (cut !== undefined && cut.times > 0 && cut.bytes < body.length) {
    hub.cut.set(name, { ...cut, times: cut.times - 1 });
    response.write(body.subarray(0, cut.bytes), () => setTimeout(() => response.destroy(), 20));
    return;
  }
  response.end(body);
}
