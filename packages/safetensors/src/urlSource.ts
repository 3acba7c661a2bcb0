import { LowrankError } from '@lowrank/errors';
import type { ByteSource } from './byteSource.js';
import { checkRange, unreadable } from './byteSource.js';

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
}

/**
 * A file behind HTTP, read by range requests (RFC 9110, section 14). A server that ignores `Range` answers with the
 * whole file: it is then downloaded once and kept in memory, up to `wholeLimit`, and `onWhole` is told.
 *
 * @throws LowrankError `safetensors.http` (status), `safetensors.unreadable` (network), `safetensors.noRanges` (too
 * large to take whole), `safetensors.changed` (the size changed between requests), `safetensors.range`
 */
export function urlSource(url: string | URL, options: UrlSourceOptions = {}): ByteSource {
  const name = String(url);
  const wholeLimit = options.wholeLimit ?? 2 ** 30;
  let known: number | undefined;
  let whole: Promise<Uint8Array> | undefined;

  async function request(init: { method: string; range?: string }): Promise<Response> {
    const headers = new Headers(options.request?.headers);
    if (init.range !== undefined) headers.set('Range', init.range);
    const send = options.fetch ?? fetch;
    try {
      return await send(url, { ...options.request, method: init.method, headers });
    } catch (cause) {
      throw unreadable(
        name,
        cause,
        'Check the address, the network, and that the server allows requests from this page (CORS).',
      );
    }
  }

  async function body(response: Response): Promise<Uint8Array> {
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw unreadable(name, cause, 'The connection broke off; try again.');
    }
  }

  function learn(size: number): void {
    if (known !== undefined && known !== size) throw sizeChanged(name, known, size);
    known = size;
  }

  /** The server sent everything in answer to a range: keep it, so that it is downloaded once. */
  async function takeWhole(response: Response): Promise<Uint8Array> {
    const announced = numberOf(response.headers.get('Content-Length'));
    if (announced !== undefined && announced > wholeLimit) {
      await response.body?.cancel();
      throw noRanges(name, announced, wholeLimit);
    }
    options.onWhole?.(announced);
    const bytes = await body(response);
    if (bytes.length > wholeLimit) throw noRanges(name, bytes.length, wholeLimit);
    learn(bytes.length);
    return bytes;
  }

  async function range(start: number, end: number): Promise<Uint8Array> {
    if (whole !== undefined) return (await whole).subarray(start, end);
    const response = await request({ method: 'GET', range: `bytes=${start}-${end - 1}` });
    if (response.status === 200) {
      whole ??= takeWhole(response).catch((error: unknown) => {
        whole = undefined;
        throw error;
      });
      return (await whole).subarray(start, end);
    }
    if (response.status !== 206) throw await httpError(name, response);
    const total = totalOf(response.headers.get('Content-Range'));
    if (total !== undefined) learn(total);
    return body(response);
  }

  async function size(): Promise<number> {
    if (known !== undefined) return known;
    await range(0, 1).catch(emptyIsNoError);
    if (known !== undefined) return known;
    // Across origins a browser hides Content-Range unless the server exposes it; Content-Length is always visible.
    const response = await request({ method: 'HEAD' });
    if (!response.ok) throw await httpError(name, response);
    const length = numberOf(response.headers.get('Content-Length'));
    if (length === undefined) throw noLength(name);
    learn(length);
    return length;
  }

  return {
    name,
    size,
    read: async (start, end) => {
      checkRange(name, { start, end, size: await size() });
      if (start === end) return new Uint8Array(0);
      const bytes = await range(start, end);
      if (bytes.length !== end - start) checkRange(name, { start, end, size: start + bytes.length });
      return bytes.length === end - start ? bytes : bytes.subarray(0, end - start);
    },
  };
}

/** An empty file has no byte 0: the server says 416, and HEAD tells the length. */
function emptyIsNoError(error: unknown): void {
  if (error instanceof LowrankError && error.code === 'safetensors.http' && error.got?.startsWith('416')) return;
  throw error;
}

function numberOf(text: string | null): number | undefined {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function totalOf(contentRange: string | null): number | undefined {
  return numberOf(/\/(\d+)\s*$/.exec(contentRange ?? '')?.[1] ?? null);
}

async function httpError(name: string, response: Response): Promise<LowrankError> {
  await response.body?.cancel();
  const denied = response.status === 401 || response.status === 403;
  return new LowrankError({
    code: 'safetensors.http',
    what: name,
    expected: 'status 206 or 200',
    got: `${response.status} ${response.statusText}`.trim(),
    remedy: denied
      ? "Pass an access token in request.headers, and accept the model's terms where it has some."
      : 'Check the address.',
  });
}

function noRanges(name: string, bytes: number, limit: number): LowrankError {
  return new LowrankError({
    code: 'safetensors.noRanges',
    what: name,
    expected: `a server that answers range requests, or a file of at most ${limit} bytes`,
    got: `the whole file, ${bytes} bytes`,
    remedy: 'Use a server with range requests, download the file first, or raise wholeLimit.',
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
