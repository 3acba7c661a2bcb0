import { LowrankError } from '@lowrank/errors';

/** An address, taken apart: what is asked, what may be shown, and the credentials that go to this one host. */
export interface WebAddress {
  /** Without user and password: `fetch` takes none in a URL. */
  readonly url: string;
  /** For messages, names and folders: without user, password, query and fragment. */
  readonly shown: string;
  /** `Basic …` where the address has a user or a password. */
  readonly authorization: string | undefined;
}

/**
 * Takes an address apart. User and password become an `Authorization` header; a query may hold a signature, so neither
 * is shown.
 *
 * @throws LowrankError `web.address`
 */
export function webAddress(text: string | URL): WebAddress {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new LowrankError({
      code: 'web.address',
      what: 'the address',
      expected: 'http://… or https://…',
      got: JSON.stringify(withoutSecrets(String(text)).slice(0, 200)),
    });
  }
  const { username, password } = url;
  [url.username, url.password, url.hash] = ['', '', ''];
  return {
    url: url.href,
    shown: url.origin + url.pathname,
    authorization: username === '' && password === '' ? undefined : basic(`${decoded(username)}:${decoded(password)}`),
  };
}

function basic(pair: string): string {
  return `Basic ${btoa(Array.from(new TextEncoder().encode(pair), (byte) => String.fromCharCode(byte)).join(''))}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * A text of a server or of the network, fit for a message: without credentials, queries of addresses and control
 * characters, and short.
 *
 * @param secrets texts that may not stand in it, such as a token
 */
export function withoutSecrets(text: string, secrets: readonly (string | undefined)[] = []): string {
  let clean = text.replace(/\/\/[^/\s"'<>]*@/g, '//').replace(/(https?:\/\/[^\s?"'<>]*)\?[^\s"'<>]*/g, '$1?…');
  for (const secret of secrets) if (secret !== undefined && secret !== '') clean = clean.replaceAll(secret, '…');
  clean = clean.replace(/[\p{Cc}\p{Cf}]+/gu, ' ').trim();
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean;
}

/** The cause of a failed fetch: its own message is only "fetch failed". */
export function networkReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error && cause.cause.message !== '' ? cause.cause.message : cause.message;
}

/**
 * Whether bytes at the beginning of a file are a web page: a login, a proxy's notice, or the start page that
 * single-page applications answer every address with.
 */
export function isWebPage(beginning: Uint8Array, contentType: string | null): boolean {
  const text = new TextDecoder().decode(beginning.subarray(0, 512)).trimStart().toLowerCase();
  if (/^(<!doctype html|<html|<head|<body)\b/.test(text)) return true;
  return isPageType(contentType) && (text === '' || text.startsWith('<'));
}

/** Whether a content type is a web page's: an error page or a login in place of a file. */
export function isPageType(contentType: string | null): boolean {
  return /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(contentType ?? '');
}

/** How long a connection may be silent. */
export interface PatienceOptions {
  /** The caller's own. */
  readonly signal?: AbortSignal | undefined;
  /** How long nothing may come. */
  readonly milliseconds: number;
  /** For messages: 'no answer', 'nothing came'. */
  readonly what: string;
}

/** Bytes that count as life: a server that sends one now and then holds nobody. */
const signOfLife = 1024;

/**
 * Gives a request up when nothing comes for a while, or when the caller does. `race` ends even where a `fetch` of the
 * caller's own ignores its signal.
 */
export class Patience {
  private readonly controller = new AbortController();
  private readonly forward = (): void => this.controller.abort(this.options.signal?.reason);
  private readonly given: Promise<never>;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private received = 0;
  private awaited: Pick<PatienceOptions, 'milliseconds' | 'what'>;

  constructor(private readonly options: PatienceOptions) {
    const { signal } = options;
    this.awaited = options;
    this.given = new Promise<never>((_, reject) => {
      this.controller.signal.addEventListener('abort', () => reject(abortReason(this.controller.signal)));
    });
    this.given.catch(() => undefined);
    signal?.addEventListener('abort', this.forward);
    if (signal?.aborted === true) this.forward();
    this.restart();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  race<Value>(work: Promise<Value>): Promise<Value> {
    return Promise.race([work, this.given]);
  }

  /** Bytes came. */
  alive(bytes: number): void {
    this.received += bytes;
    if (this.received >= signOfLife) this.restart();
  }

  /** From now on another thing is waited for. */
  expect(awaited: Pick<PatienceOptions, 'milliseconds' | 'what'>): void {
    this.awaited = awaited;
    this.restart();
  }

  private restart(): void {
    const { milliseconds, what } = this.awaited;
    clearTimeout(this.timer);
    this.received = 0;
    this.timer = setTimeout(
      () => this.controller.abort(new Error(`${what} within ${milliseconds / 1000} s`)),
      milliseconds,
    );
  }

  end(): void {
    clearTimeout(this.timer);
    this.options.signal?.removeEventListener('abort', this.forward);
  }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}

/** A body's chunks, as long as they come; not every browser iterates a stream. */
export async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  patience: Patience,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await patience.race(reader.read());
      if (done) return;
      patience.alive(value.length);
      yield value;
    }
  } finally {
    // A server that hangs may let this hang too.
    reader.cancel().catch(() => undefined);
  }
}

/** A body up to a limit: what follows is not read. `more` says that something followed. */
export async function bodyWithin(
  response: Response,
  { limit, patience }: { readonly limit: number; readonly patience: Patience },
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly more: boolean }> {
  const parts: Uint8Array[] = [];
  let length = 0;
  if (response.body !== null) {
    for await (const chunk of chunksOf(response.body, patience)) {
      length += chunk.length;
      parts.push(chunk);
      if (length > limit) break;
    }
  }
  const bytes = new Uint8Array(Math.min(length, limit));
  let at = 0;
  for (const part of parts) {
    bytes.set(part.subarray(0, bytes.length - at), at);
    at += part.length;
  }
  return { bytes, more: length > limit };
}

/** Start and length of the whole that a partial answer tells; undefined where it tells nothing. */
export function contentRange(response: Response): { start: number; total: number | undefined } | undefined {
  const match = /^\s*bytes\s+(\d{1,15})-\d{1,15}\/(\d{1,15}|\*)\s*$/i.exec(response.headers.get('Content-Range') ?? '');
  if (match?.[1] === undefined) return undefined;
  return { start: Number(match[1]), total: match[2] === '*' ? undefined : Number(match[2]) };
}

/**
 * The length that a server promises for the bytes themselves; undefined where it promises none, or one of compressed
 * bytes.
 */
export function contentLength(response: Response): number | undefined {
  const text = response.headers.get('Content-Length');
  if (text === null || !/^\d{1,15}$/.test(text) || isEncoded(response)) return undefined;
  return Number(text);
}

/** Whether a server sent something compressed, whose byte ranges are not those of the file. */
export function isEncoded(response: Response): boolean {
  const encoding = response.headers.get('Content-Encoding') ?? 'identity';
  return encoding.trim().toLowerCase() !== 'identity' && encoding.trim() !== '';
}
