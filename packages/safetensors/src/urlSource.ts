import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { ByteSource } from './byteSource.js';
import { checkRange, unreadable } from './byteSource.js';
import {
  bodyWithin,
  contentLength,
  contentRange,
  isEncoded,
  isWebPage,
  networkReason,
  Patience,
  webAddress,
  withoutSecrets,
} from './web.js';

export interface UrlSourceOptions {
  /** Passed to every `fetch`: headers (an access token), credentials, signal. `Range` and `method` are set here. */
  readonly request?: RequestInit;
  /** The fetch to use; the global one by default. */
  readonly fetch?: typeof fetch;
  /** The largest file, in bytes, that may be downloaded whole where the server ignores ranges. Default 1 GiB. */
  readonly wholeLimit?: number;
  /**
   * Called once if the server ignores ranges, before the file is downloaded whole; `bytes` is undefined where unknown.
   */
  readonly onWhole?: (bytes: number | undefined) => void;
  /** How long a server may send nothing, in milliseconds. Default 30 s. */
  readonly patience?: number;
}

/**
 * A file behind HTTP, read by range requests (RFC 9110, section 14). A server that ignores `Range` answers with the
 * whole file: it is then downloaded once and kept in memory, up to `wholeLimit`, and `onWhole` is called. User and
 * password of the address go to its host alone, and into no message.
 *
 * @throws LowrankError `safetensors.http` (status, a web page), `safetensors.unreadable` (network, silence),
 * `safetensors.noRanges` (too large to take whole), `safetensors.changed` (the size changed between requests),
 * `safetensors.range`, `web.address`
 */
export function urlSource(url: string | URL, options: UrlSourceOptions = {}): ByteSource {
  const address = webAddress(url);
  const name = address.shown;
  const wholeLimit = options.wholeLimit ?? 2 ** 30;
  let known: number | undefined;
  let whole: Promise<Uint8Array> | undefined;

  /** Sends a request and takes what `use` makes of the answer, as long as something comes. */
  async function request<Value>(
    init: { method: string; range?: string },
    use: (response: Response, patience: Patience) => Promise<Value>,
  ): Promise<Value> {
    const headers = new Headers(options.request?.headers);
    if (init.range !== undefined) headers.set('Range', init.range);
    if (address.authorization !== undefined) headers.set('Authorization', address.authorization);
    const send = options.fetch ?? fetch;
    const patience = new Patience({
      signal: options.request?.signal ?? undefined,
      milliseconds: options.patience ?? 30_000,
      what: 'nothing came',
    });
    try {
      const { signal } = patience;
      return await use(
        await patience.race(send(address.url, { ...options.request, method: init.method, headers, signal })),
        patience,
      );
    } catch (cause) {
      if (isLowrankError(cause)) throw cause;
      throw unreadable(
        name,
        new Error(withoutSecrets(networkReason(cause)), { cause }),
        'Check the address, the network, and that the server allows requests from this page (CORS).',
      );
    } finally {
      patience.end();
    }
  }

  function learn(size: number): void {
    if (known !== undefined && known !== size) throw sizeChanged(name, known, size);
    known = size;
  }

  /** The server sent everything in answer to a range: keep it, so that it is downloaded once. */
  async function takeWhole(response: Response, patience: Patience): Promise<Uint8Array> {
    const announced = contentLength(response);
    if (announced !== undefined && announced > wholeLimit) {
      void response.body?.cancel();
      throw noRanges(name, announced, wholeLimit);
    }
    options.onWhole?.(announced);
    const { bytes, more } = await bodyWithin(response, { limit: wholeLimit, patience });
    if (more) throw noRanges(name, undefined, wholeLimit);
    if (isWebPage(bytes, response.headers.get('Content-Type'))) throw webPage(name);
    learn(bytes.length);
    return bytes;
  }

  /** The bytes of an answer: a part, or the whole, which is kept. */
  async function take(
    response: Response,
    patience: Patience,
    part: { start: number; end: number },
  ): Promise<Uint8Array> {
    const { start, end } = part;
    if (response.status === 200) {
      whole = takeWhole(response, patience);
      whole.catch(() => (whole = undefined));
      return (await whole).subarray(start, end);
    }
    if (response.status !== 206 || isEncoded(response)) throw httpError(name, response);
    const range = contentRange(response);
    if (range?.total !== undefined) learn(range.total);
    if (range !== undefined && range.start !== start) throw otherRange(name, start, range.start);
    return (await bodyWithin(response, { limit: end - start, patience })).bytes;
  }

  async function range(start: number, end: number): Promise<Uint8Array> {
    if (whole !== undefined) return (await whole).subarray(start, end);
    return request({ method: 'GET', range: `bytes=${start}-${end - 1}` }, (response, patience) =>
      take(response, patience, { start, end }),
    );
  }

  async function size(): Promise<number> {
    if (known !== undefined) return known;
    await range(0, 1).catch(emptyIsNoError);
    if (known !== undefined) return known;
    // Across origins a browser hides Content-Range unless the server exposes it; Content-Length is always visible.
    await request({ method: 'HEAD' }, (response) => {
      if (!response.ok) throw httpError(name, response);
      const length = contentLength(response);
      if (length === undefined) throw noLength(name);
      learn(length);
      return Promise.resolve();
    });
    return known ?? 0;
  }

  return {
    name,
    size,
    read: async (start, end) => {
      checkRange(name, { start, end, size: await size() });
      if (start === end) return new Uint8Array(0);
      const bytes = await range(start, end);
      if (bytes.length !== end - start) checkRange(name, { start, end, size: start + bytes.length });
      return bytes;
    },
  };
}

/** An empty file has no byte 0: the server answers 416, and HEAD has the length. */
function emptyIsNoError(error: unknown): void {
  if (error instanceof LowrankError && error.code === 'safetensors.http' && error.got?.startsWith('416')) return;
  throw error;
}

function httpError(name: string, response: Response): LowrankError {
  void response.body?.cancel().catch(() => undefined);
  const denied = response.status === 401 || response.status === 403;
  return new LowrankError({
    code: 'safetensors.http',
    what: name,
    expected: 'status 206 or 200',
    got: `${response.status} ${response.statusText}${isEncoded(response) ? ', compressed' : ''}`.trim(),
    remedy: denied
      ? "Pass an access token in request.headers, and accept the model's terms where it has some."
      : 'Check the address.',
  });
}

function noRanges(name: string, bytes: number | undefined, limit: number): LowrankError {
  return new LowrankError({
    code: 'safetensors.noRanges',
    what: name,
    expected: `a server that answers range requests, or a file of at most ${limit} bytes`,
    got: bytes === undefined ? 'the whole of a longer one' : `the whole file, ${bytes} bytes`,
    remedy: 'Use a server with range requests, download the file first, or raise wholeLimit.',
  });
}

function webPage(name: string): LowrankError {
  return new LowrankError({
    code: 'safetensors.http',
    what: name,
    expected: 'the file',
    got: 'a web page with status 200: a login, a notice, or the start page of an application',
    remedy: 'Open the address in a browser to see the page, and check that the file is there.',
  });
}

function otherRange(name: string, asked: number, got: number): LowrankError {
  return new LowrankError({
    code: 'safetensors.range',
    what: name,
    expected: `the bytes from ${asked} on, as asked for`,
    got: `those from ${got} on`,
    remedy: 'The server does not keep to HTTP ranges; download the file first.',
  });
}

function noLength(name: string): LowrankError {
  return new LowrankError({
    code: 'safetensors.noRanges',
    what: name,
    expected: 'a Content-Range or Content-Length that this page may read',
    got: 'neither',
    remedy: 'Let the server send Access-Control-Expose-Headers: Content-Range, or download the file first.',
  });
}

function sizeChanged(name: string, before: number, now: number): LowrankError {
  return new LowrankError({
    code: 'safetensors.changed',
    what: name,
    expected: `the file first seen (${before} bytes)`,
    got: `one of ${now} bytes`,
    remedy: 'It changed on the server while it was being read; open it again.',
  });
}
