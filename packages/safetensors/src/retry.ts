import { networkReason } from './web.js';

/** The server is busy, and may have said for how long. */
export class WaitFirst extends Error {
  constructor(
    message: string,
    readonly milliseconds: number | undefined,
  ) {
    super(message);
  }
}

/** Waits before the n-th try in a row; tests wait less. */
export type Pause = (attempt: number, milliseconds: number) => Promise<void>;

/** Half a second, doubled with each try, 8 s at most. */
export const backoff = (attempt: number): number => Math.min(250 * 2 ** attempt, 8000);

/** Waits; ends early, with the signal's reason, when it is aborted. */
export function waiting(signal: AbortSignal | undefined): Pause {
  return (_, milliseconds) =>
    new Promise((resolve, reject) => {
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', abort);
        resolve();
      }, milliseconds);
      if (signal?.aborted === true) abort();
      else signal?.addEventListener('abort', abort, { once: true });
    });
}

/** Whether a status means that the same request may succeed later. */
export const isBusy = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500;

/** Milliseconds that a server asks to wait (RFC 9110, section 10.2.3: seconds or a date). */
export function retryAfter(response: Response, now = Date.now()): number | undefined {
  const text = response.headers.get('Retry-After')?.trim();
  if (text === undefined || text === '') return undefined;
  const milliseconds = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}

/** An answer as errors give it: `503 Service Unavailable; it asks to wait 3600 s`. */
export function statusOf(response: Response): string {
  const wait = retryAfter(response);
  const status = `${response.status} ${response.statusText}`.trim();
  return wait === undefined ? status : `${status}; it asks to wait ${Math.ceil(wait / 1000)} s`;
}

/** Trying again would lead around the same circle. */
export const isHopeless = (failure: unknown): boolean => /redirect count exceeded/i.test(networkReason(failure));
