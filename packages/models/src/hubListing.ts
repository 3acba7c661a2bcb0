import { LowrankError, parseJson } from '@lowrank/errors';
import { bodyWithin, isWebPage } from '@lowrank/safetensors';
import type { Patience } from '@lowrank/safetensors';
import type { Send } from './ask.js';
import { ask } from './ask.js';
import type { HubAccess } from './hubAccess.js';

/** A page of a listing has a thousand files, and the root folder of the largest repositories some hundreds. */
const mostPages = 50;
/** Bytes of one answer. */
const largestAnswer = 16 * 2 ** 20;

/** One answer of the hub's API. */
interface Answer {
  readonly value: unknown;
  /** The page that follows this one. */
  readonly next: string | undefined;
}

/**
 * Asks the hub's API about a repository: requests, their answers and the number of pages are bounded, and answers are
 * JSON. An answer that is an error is thrown as `refuse` makes it, of the response and what its body says.
 */
export function hubQuestions(
  access: HubAccess,
  send: Send,
  refuse: (response: Response, said: string | undefined) => LowrankError,
): (path: string) => Promise<Answer> {
  const { timing, pause, endpoint } = access;
  const deadline = new AbortController();
  const signal = access.signal === undefined ? deadline.signal : AbortSignal.any([access.signal, deadline.signal]);
  const asked = new Set<string>();
  const begun = Date.now();

  async function take(response: Response, patience: Patience): Promise<Answer> {
    const { bytes, more } = await bodyWithin(response, { limit: largestAnswer, patience });
    const { status, headers } = response;
    const text = new TextDecoder().decode(bytes);
    if (!response.ok) throw refuse(response, saidIn(text, headers));
    if (more) throw wrongListing(endpoint, `at most ${largestAnswer} bytes`, 'more');
    if (isWebPage(bytes, headers.get('Content-Type'))) {
      const got = `a web page with status ${status}: a login, or a notice of this network`;
      throw wrongListing(endpoint, 'JSON', got);
    }
    try {
      return { value: parseJson(text), next: nextPage(headers.get('Link')) };
    } catch (cause) {
      throw wrongListing(endpoint, 'JSON', `other text with status ${status}`, cause);
    }
  }

  return async (url) => {
    if (asked.has(url)) throw wrongListing(endpoint, 'each page once', 'one that leads back to an earlier one');
    asked.add(url);
    if (asked.size > mostPages) throw wrongListing(endpoint, `at most ${mostPages} pages`, 'more, without end');
    const left = timing.listing - (Date.now() - begun);
    const late = new Error(`no listing within ${timing.listing / 1000} s`);
    const timer = setTimeout(() => deadline.abort(late), Math.max(0, left));
    try {
      return await ask(url, { headers: { Accept: 'application/json' } }, { send, timing, signal, pause }, take);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** The error for an answer that no hub gives. */
export function wrongListing(
  endpoint: HubAccess['endpoint'],
  expected: string,
  got: string,
  cause?: unknown,
): LowrankError {
  return new LowrankError({
    code: 'models.hub',
    what: `the listing that ${endpoint.shown} sends`,
    expected,
    got,
    remedy: 'This is no answer of a hub: check HF_ENDPOINT, and whether this network wants a login first.',
    cause,
  });
}

/** The address with `rel="next"` in a `Link` header (RFC 8288). */
function nextPage(link: string | null): string | undefined {
  return /<(https?:\/\/[^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1];
}

/** What the body of an error says. */
function saidIn(text: string, headers: Headers): string | undefined {
  if (headers.get('Content-Type')?.startsWith('application/json') !== true) return undefined;
  try {
    const { error, message } = Object(parseJson(text)) as { readonly error?: unknown; readonly message?: unknown };
    return [error, message].find((said) => typeof said === 'string');
  } catch {
    return undefined;
  }
}
