import { isLowrankError, LowrankError } from '@lowrank/errors';
import {
  bodyWithin,
  contentLength,
  contentRange,
  isEncoded,
  isPageType,
  isWebPage,
  statusOf,
} from '@lowrank/safetensors';
import type { WebAddress } from '@lowrank/safetensors';
import type { AskPolicy } from './ask.js';
import { ask } from './ask.js';
import type { Listing } from './hub.js';
import { unreachable } from './hub.js';
import { isGgufName } from './ggufName.js';
import { createDigest } from './hubDigest.js';
import type { Checksum } from './hubDigest.js';
import type { RemoteFile } from './remoteFile.js';

/** The snapshot of a model that lies under a URL: there is one, the latest. */
export const urlSnapshot = 'latest';

/** Names that are asked for at once. */
const atOnce = 6;

/**
 * Looks for files below a URL, one question each. What a server says of a file (its ETag, else its date and size)
 * becomes its key in the cache; a checksum is known only where the server sends one (`X-Linked-ETag` of hubs, or
 * `Repr-Digest`, RFC 9530). A web page is no such file: single-page applications answer every address with one.
 *
 * @throws LowrankError `models.offline`, `models.download`
 */
export async function listUrl(base: WebAddress, names: readonly string[], policy: AskPolicy): Promise<Listing> {
  const files: RemoteFile[] = [];
  const pages: string[] = [];
  for (let at = 0; at < names.length; at += atOnce) {
    const some = names.slice(at, at + atOnce);
    const found = await Promise.all(some.map((name) => describe(base, name, policy)));
    found.forEach((file, index) => {
      if (file === 'page') pages.push(some[index] ?? '');
      else if (file !== undefined) files.push(file);
    });
  }
  return { snapshot: urlSnapshot, files, pages };
}

/** The address of a file in a folder; a query, which may be a signature, stays at its end. */
function fileAddress(base: WebAddress, name: string): { url: string; shown: string } {
  const url = new URL(base.url);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${encodeURIComponent(name)}`;
  return { url: url.href, shown: url.origin + url.pathname };
}

async function describe(base: WebAddress, name: string, policy: AskPolicy): Promise<RemoteFile | 'page' | undefined> {
  const { url, shown } = fileAddress(base, name);
  const headers = { 'Accept-Encoding': 'identity' };
  let answer = await question({ method: 'HEAD', headers }, { shown, url }, policy);
  // Stores of files answer 403 for names that do not exist.
  if (isAbsent(answer.response)) return undefined;
  // Not every server knows HEAD, or says with it what it would send.
  const isPage = isPageType(answer.response.headers.get('Content-Type'));
  if (isPage || !answer.response.ok || lengthOf(answer.response, name) === 0) {
    answer = await question({ headers: { ...headers, Range: 'bytes=0-511' } }, { shown, url }, policy);
    if (isAbsent(answer.response)) return undefined;
    if (answer.response.ok && isWebPage(answer.beginning, answer.response.headers.get('Content-Type'))) return 'page';
  }
  const { response } = answer;
  // No byte of an empty file can be asked for.
  if (!response.ok && response.status !== 416) {
    throw new LowrankError({
      code: 'models.download',
      what: shown,
      expected: 'a file',
      got: statusOf(response),
      remedy: 'Check the address and who may read it, or download the folder first.',
    });
  }
  return described({ name, url, shown }, response);
}

/** An answer and how it begins: the rest is not read. */
async function question(
  init: RequestInit,
  { url, shown }: { readonly url: string; readonly shown: string },
  policy: AskPolicy,
): Promise<{ readonly response: Response; readonly beginning: Uint8Array }> {
  try {
    return await ask(url, init, policy, async (response, patience) => ({
      response,
      beginning: (await bodyWithin(response, { limit: init.method === 'HEAD' ? 0 : 512, patience })).bytes,
    }));
  } catch (error) {
    if (policy.signal?.aborted === true || isLowrankError(error)) throw error;
    throw unreachable(shown, error);
  }
}

const isAbsent = ({ status }: Response): boolean => status === 404 || status === 403 || status === 410;

async function described(file: Pick<RemoteFile, 'name' | 'url' | 'shown'>, response: Response): Promise<RemoteFile> {
  const { headers } = response;
  const size = lengthOf(response, file.name);
  const tag = headers.get('ETag') ?? undefined;
  const version = tag ?? headers.get('Last-Modified') ?? undefined;
  return {
    ...file,
    size,
    checksum: checksumOf(headers),
    // A weak validator does not promise the same bytes.
    etag: tag?.startsWith('W/') === true ? undefined : tag,
    isUndated: version === undefined,
    key: await keyOf(`${file.url}\n${version ?? ''}\n${size ?? ''}`),
  };
}

/** The length of a file as far as a server says it. */
function lengthOf(response: Response, name: string): number | undefined {
  if (response.status === 416) return contentTotal(response) ?? 0;
  if (response.status === 206) return isEncoded(response) ? undefined : contentRange(response)?.total;
  // Across origins a browser hides whether a body is compressed; servers compress texts, and no weights.
  if (response.type === 'cors' && !name.endsWith('.safetensors') && !isGgufName(name)) return undefined;
  const linked = response.headers.get('X-Linked-Size');
  return linked !== null && /^\d{1,15}$/.test(linked) ? Number(linked) : contentLength(response);
}

/** The length that goes with the refusal of a range. */
function contentTotal(response: Response): number | undefined {
  const total = /^\s*bytes\s+\*\/(\d{1,15})\s*$/.exec(response.headers.get('Content-Range') ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}

function checksumOf(headers: Headers): Checksum | undefined {
  const linked = /^"?([0-9a-f]{64})"?$/.exec(headers.get('X-Linked-ETag') ?? '')?.[1];
  if (linked !== undefined) return { kind: 'sha256', hex: linked };
  const base64 = /sha-256=:([A-Za-z0-9+/]{43}=):/.exec(headers.get('Repr-Digest') ?? '')?.[1];
  return base64 === undefined
    ? undefined
    : {
        kind: 'sha256',
        hex: Array.from(atob(base64), (char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join(''),
      };
}

/** A name for a blob that is no checksum of its bytes, and does not look like one. */
export async function keyOf(text: string): Promise<string> {
  const digest = await createDigest('sha256', 0);
  digest.update(new TextEncoder().encode(text));
  return `url-${digest.hex()}`;
}
