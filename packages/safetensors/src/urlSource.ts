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
 * whole file: it is then downloaded once and kept in memory, up to `wholeLimit`, after a call of `onWhole`.
 *
 * @throws LowrankError `safetensors.http` (status), `safetensors.unreadable` (network), `safetensors.noRanges` (too
 * large to take whole), `safetensors.changed` (the size changed between requests), `safetensors.range`
 */
export function urlSource(url: string | URL, options: UrlSourceOptions = {}): ByteSource {
  return new UrlSource(String(url), options);
}

class UrlSource implements ByteSource {
  private readonly wholeLimit: number;
  private known: number | undefined;
  private whole: Promise<Uint8Array> | undefined;

  constructor(
    readonly name: string,
    private readonly options: UrlSourceOptions,
  ) {
    this.wholeLimit = options.wholeLimit ?? 2 ** 30;
  }

  async size(): Promise<number> {
    if (this.known !== undefined) return this.known;
    await this.range(0, 1).catch(emptyIsNoError);
    if (this.known !== undefined) return this.known;
    // Across origins a browser hides Content-Range unless the server exposes it; Content-Length is always visible.
    const response = await this.request({ method: 'HEAD' });
    if (!response.ok) throw await httpError(this.name, response);
    const length = numberOf(response.headers.get('Content-Length'));
    if (length === undefined) throw noLength(this.name);
    this.learn(length);
    return length;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    checkRange(this.name, { start, end, size: await this.size() });
    if (start === end) return new Uint8Array(0);
    const bytes = await this.range(start, end);
    if (bytes.length !== end - start) checkRange(this.name, { start, end, size: start + bytes.length });
    return bytes.length === end - start ? bytes : bytes.subarray(0, end - start);
  }

  private async range(start: number, end: number): Promise<Uint8Array> {
    if (this.whole !== undefined) return (await this.whole).subarray(start, end);
    const response = await this.request({ method: 'GET', range: `bytes=${start}-${end - 1}` });
    if (response.status === 200) {
      this.whole ??= this.takeWhole(response).catch((error: unknown) => {
        this.whole = undefined;
        throw error;
      });
      return (await this.whole).subarray(start, end);
    }
    if (response.status !== 206) throw await httpError(this.name, response);
    const total = totalOf(response.headers.get('Content-Range'));
    if (total !== undefined) this.learn(total);
    return this.body(response);
  }

  /** The server sent everything in answer to a range: keeps it, so that it is downloaded once. */
  private async takeWhole(response: Response): Promise<Uint8Array> {
    const announced = numberOf(response.headers.get('Content-Length'));
    if (announced !== undefined && announced > this.wholeLimit) {
      await response.body?.cancel();
      throw noRanges(this.name, announced, this.wholeLimit);
    }
    this.options.onWhole?.(announced);
    const bytes = await this.body(response);
    if (bytes.length > this.wholeLimit) throw noRanges(this.name, bytes.length, this.wholeLimit);
    this.learn(bytes.length);
    return bytes;
  }

  private async request({ method, range }: { method: string; range?: string }): Promise<Response> {
    const headers = new Headers(this.options.request?.headers);
    if (range !== undefined) headers.set('Range', range);
    const send = this.options.fetch ?? fetch;
    try {
      return await send(this.name, { ...this.options.request, method, headers });
    } catch (cause) {
      throw unreadable(
        this.name,
        cause,
        'Check the address, the network, and that the server allows requests from this page (CORS).',
      );
    }
  }

  private async body(response: Response): Promise<Uint8Array> {
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw unreadable(this.name, cause, 'The connection broke off; try again.');
    }
  }

  private learn(size: number): void {
    if (this.known !== undefined && this.known !== size) throw sizeChanged(this.name, this.known, size);
    this.known = size;
  }
}

/** An empty file has no byte 0: the server answers 416, and HEAD has the length. */
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
