import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { ByteSource } from './byteSource.js';
import { checkRange, unreadable } from './byteSource.js';
import type { Pause } from './retry.js';
import { backoff, isBusy, isHopeless, retryAfter, statusOf, WaitFirst, waiting } from './retry.js';
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

/** Options of `urlSource`. */
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
  /** Waits before the n-th try in a row; by default as long as it says. */
  readonly pause?: Pause;
}

/** How often in a row a request is sent again, as downloads are. */
const retries = 5;
/** The longest wait that a server may ask for, and how long all tries together may take beside such waits. */
const longest = { retryAfter: 60_000, tries: 40_000 };

/**
 * A file behind HTTP, read by range requests (RFC 9110, section 14). A server that ignores `Range` answers with the
 * whole file: it is then downloaded once and kept in memory, up to `wholeLimit`, and `onWhole` is called. A busy server
 * (408, 425, 429, 5xx) is asked again up to 5 times, when it says (`Retry-After`, at most 60 s) or after 0.5, 1, 2, 4
 * and 8 s; so is one whose connection breaks once it has answered. User and password of the address go to its host
 * alone, and into no message.
 *
 * @throws LowrankError `safetensors.http` (status, a web page), `safetensors.unreadable` (network, silence),
 * `safetensors.noRanges` (too large to take whole), `safetensors.changed` (the size changed between requests),
 * `safetensors.range`, `web.address`
 */
export function urlSource(url: string | URL, options: UrlSourceOptions = {}): ByteSource {
  const file = new HttpFile(webAddress(url), options);
  return { name: file.name, size: () => file.size(), read: (start, end) => file.read(start, end) };
}

/** What is known of the file, and what was taken whole. */
class HttpFile {
  readonly name: string;
  private readonly wholeLimit: number;
  private known: number | undefined;
  private whole: Promise<Uint8Array> | undefined;
  /** A server that never answered may not be there: its error comes at once. */
  private hasAnswered = false;

  constructor(
    private readonly address: ReturnType<typeof webAddress>,
    private readonly options: UrlSourceOptions,
  ) {
    this.name = address.shown;
    this.wholeLimit = options.wholeLimit ?? 2 ** 30;
  }

  /** The same until it succeeds, or nothing suggests that it will. */
  private async request<Value>(
    init: { method: string; range?: string },
    use: (response: Response, patience: Patience) => Promise<Value>,
  ): Promise<Value> {
    const signal = this.options.request?.signal ?? undefined;
    const pause = this.options.pause ?? waiting(signal);
    let since = performance.now();
    for (let failures = 1; ; failures++) {
      try {
        return await this.once(init, use);
      } catch (cause) {
        if (isLowrankError(cause)) throw cause;
        const wait = cause instanceof WaitFirst ? cause.milliseconds : undefined;
        const mayMend = cause instanceof WaitFirst || (this.hasAnswered && !isHopeless(cause));
        const isLate = performance.now() - since > longest.tries;
        if (!mayMend || signal?.aborted === true || failures > retries || isLate || (wait ?? 0) > longest.retryAfter)
          throw cause instanceof WaitFirst ? httpError(this.name, cause.message) : this.broken(cause);
        await pause(failures, wait ?? backoff(failures));
        since += wait ?? 0;
      }
    }
  }

  private broken(cause: unknown): LowrankError {
    return unreadable(
      this.name,
      new Error(withoutSecrets(networkReason(cause)), { cause }),
      'Check the address, the network, and that the server allows requests from this page (CORS).',
    );
  }

  /** Sends a request and takes what `use` makes of the answer, as long as something comes. */
  private async once<Value>(
    init: { method: string; range?: string },
    use: (response: Response, patience: Patience) => Promise<Value>,
  ): Promise<Value> {
    const headers = new Headers(this.options.request?.headers);
    if (init.range !== undefined) headers.set('Range', init.range);
    if (this.address.authorization !== undefined) headers.set('Authorization', this.address.authorization);
    const send = this.options.fetch ?? fetch;
    const patience = new Patience({
      signal: this.options.request?.signal ?? undefined,
      milliseconds: this.options.patience ?? 30_000,
      what: 'nothing came',
    });
    try {
      const { signal } = patience;
      const sent = send(this.address.url, { ...this.options.request, method: init.method, headers, signal });
      const response = await patience.race(sent);
      if (isBusy(response.status)) {
        void response.body?.cancel().catch(() => undefined);
        throw new WaitFirst(statusOf(response), retryAfter(response));
      }
      this.hasAnswered = true;
      return await use(response, patience);
    } finally {
      patience.end();
    }
  }

  private learn(size: number): void {
    if (this.known !== undefined && this.known !== size) throw sizeChanged(this.name, this.known, size);
    this.known = size;
  }

  /** The server sent everything in answer to a range: keep it, so that it is downloaded once. */
  private async takeWhole(response: Response, patience: Patience): Promise<Uint8Array> {
    const announced = contentLength(response);
    if (announced !== undefined && announced > this.wholeLimit) {
      void response.body?.cancel();
      throw noRanges(this.name, announced, this.wholeLimit);
    }
    this.options.onWhole?.(announced);
    const { bytes, more } = await bodyWithin(response, { limit: this.wholeLimit, patience });
    if (more) throw noRanges(this.name, undefined, this.wholeLimit);
    if (isWebPage(bytes, response.headers.get('Content-Type'))) throw webPage(this.name);
    this.learn(bytes.length);
    return bytes;
  }

  /** The bytes of an answer: a part, or the whole, which is kept. */
  private async take(
    response: Response,
    patience: Patience,
    part: { start: number; end: number },
  ): Promise<Uint8Array> {
    const { start, end } = part;
    if (response.status === 200) {
      const whole = this.takeWhole(response, patience);
      this.whole = whole;
      whole.catch(() => (this.whole = undefined));
      return (await whole).subarray(start, end);
    }
    if (response.status !== 206 || isEncoded(response)) throw refused(this.name, response);
    const range = contentRange(response);
    if (range?.total !== undefined) this.learn(range.total);
    if (range !== undefined && range.start !== start) throw otherRange(this.name, start, range.start);
    return (await bodyWithin(response, { limit: end - start, patience })).bytes;
  }

  private async range(start: number, end: number): Promise<Uint8Array> {
    if (this.whole !== undefined) return (await this.whole).subarray(start, end);
    return this.request({ method: 'GET', range: `bytes=${start}-${end - 1}` }, (response, patience) =>
      this.take(response, patience, { start, end }),
    );
  }

  async size(): Promise<number> {
    if (this.known !== undefined) return this.known;
    await this.range(0, 1).catch(emptyIsNoError);
    if (this.known !== undefined) return this.known;
    // Across origins a browser hides Content-Range unless the server exposes it; Content-Length is always visible.
    await this.request({ method: 'HEAD' }, (response) => {
      if (!response.ok) throw refused(this.name, response);
      const length = contentLength(response);
      if (length === undefined) throw noLength(this.name);
      this.learn(length);
      return Promise.resolve();
    });
    return this.known ?? 0;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    checkRange(this.name, { start, end, size: await this.size() });
    if (start === end) return new Uint8Array(0);
    const bytes = await this.range(start, end);
    if (bytes.length !== end - start) checkRange(this.name, { start, end, size: start + bytes.length });
    return bytes;
  }
}

/** An empty file has no byte 0: the server answers 416, and HEAD has the length. */
function emptyIsNoError(error: unknown): void {
  if (error instanceof LowrankError && error.code === 'safetensors.http' && error.got?.startsWith('416')) return;
  throw error;
}

function refused(name: string, response: Response): LowrankError {
  void response.body?.cancel().catch(() => undefined);
  const status = `${response.status} ${response.statusText}${isEncoded(response) ? ', compressed' : ''}`.trim();
  return httpError(name, status);
}

function httpError(name: string, status: string): LowrankError {
  const denied = /^40[13]\b/.test(status);
  return new LowrankError({
    code: 'safetensors.http',
    what: name,
    expected: 'status 206 or 200',
    got: status,
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
