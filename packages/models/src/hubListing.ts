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

/**
 * A `fetch` for `@huggingface/hub` that ends: requests, their answers and the number of pages are bounded, and answers
 * are JSON of the form that the library expects. `refused()` is the last answer that was an error.
 */
export function listingFetch(
  access: HubAccess,
  send: Send,
): { readonly fetch: typeof fetch; refused(): Response | undefined } {
  const { timing, pause, endpoint } = access;
  const deadline = new AbortController();
  const signal = access.signal === undefined ? deadline.signal : AbortSignal.any([access.signal, deadline.signal]);
  const asked = new Set<string>();
  const begun = Date.now();
  let refused: Response | undefined;
  const wrong = (expected: string, got: string, cause?: unknown): LowrankError =>
    new LowrankError({
      code: 'models.hub',
      what: `the listing that ${endpoint.shown} sends`,
      expected,
      got,
      remedy: 'This is no answer of a hub: check HF_ENDPOINT, and whether this network wants a login first.',
      cause,
    });

  async function take(url: string, response: Response, patience: Patience): Promise<Response> {
    const { bytes, more } = await bodyWithin(response, { limit: largestAnswer, patience });
    const { status, statusText, headers } = response;
    // A status such as 304 allows no body at all.
    const copy = new Response(bytes.length === 0 ? null : bytes, { status, statusText, headers });
    if (!response.ok) {
      refused = copy.clone();
      return copy;
    }
    if (more) throw wrong(`at most ${largestAnswer} bytes`, 'more');
    if (isWebPage(bytes, headers.get('Content-Type')))
      throw wrong('JSON', `a web page with status ${status}: a login, or a notice of this network`);
    let value: unknown;
    try {
      value = parseJson(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw wrong('JSON', `other text with status ${status}`, cause);
    }
    const isTree = /\/api\/models\/[^/]+\/[^/]+\/tree\//.test(new URL(url).pathname);
    const isRight = isTree ? Array.isArray(value) && value.every(isObject) : isObject(value);
    if (!isRight) throw wrong(isTree ? 'a list of files' : 'an object', 'another value');
    return copy;
  }

  return {
    refused: () => refused,
    async fetch(input, init) {
      const url = input instanceof Request ? input.url : String(input);
      if (asked.has(url)) throw wrong('each page once', 'one that leads back to an earlier one');
      asked.add(url);
      if (asked.size > mostPages) throw wrong(`at most ${mostPages} pages`, 'more, without end');
      const left = timing.listing - (Date.now() - begun);
      const late = new Error(`no listing within ${timing.listing / 1000} s`);
      const timer = setTimeout(() => deadline.abort(late), Math.max(0, left));
      try {
        return await ask(url, init ?? {}, { send, timing, signal, pause }, (response, patience) =>
          take(url, response, patience),
        );
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
