import { LowrankError } from '@lowrank/errors';
import type { Listing } from './hub.js';
import { unreachable } from './hub.js';
import { createDigest } from './hubDigest.js';
import type { Checksum } from './hubDigest.js';
import type { RemoteFile } from './hubDownload.js';

/** The snapshot of a model that lies under a URL: there is one, the latest. */
export const urlSnapshot = 'latest';

export interface UrlAccess {
  readonly send: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Looks for files below a URL, one question each. What a server says of a file (its ETag, else its date and size)
 * becomes its key in the cache; a checksum is known only where the server sends one (`X-Linked-ETag` of hubs, or
 * `Repr-Digest`, RFC 9530).
 *
 * @throws LowrankError `models.offline`, `models.download`
 */
export async function listUrl(base: string, names: readonly string[], { send }: UrlAccess): Promise<Listing> {
  const found = await Promise.all(names.map((name) => describe(`${base}/${encodeURIComponent(name)}`, name, send)));
  return { snapshot: urlSnapshot, files: found.filter((file) => file !== undefined) };
}

async function describe(url: string, name: string, send: UrlAccess['send']): Promise<RemoteFile | undefined> {
  let response = await ask(url, { method: 'HEAD' }, send);
  // Not every server knows HEAD.
  if (response.status === 405 || response.status === 501) {
    response = await ask(url, { headers: { Range: 'bytes=0-0' } }, send);
    await response.body?.cancel();
  }
  // Stores of files answer 403 for names that do not exist.
  if (response.status === 404 || response.status === 403 || response.status === 410) return undefined;
  const { headers } = response;
  const size = Number(
    response.status === 206
      ? /\/(\d+)\s*$/.exec(headers.get('Content-Range') ?? '')?.[1]
      : (headers.get('X-Linked-Size') ?? headers.get('Content-Length') ?? undefined),
  );
  if (!response.ok || !Number.isSafeInteger(size)) {
    throw new LowrankError({
      code: 'models.download',
      what: url,
      expected: 'a file and its length',
      got: response.ok ? 'no Content-Length' : `${response.status} ${response.statusText}`.trim(),
      remedy: 'Check the address, or download the folder first.',
    });
  }
  const tag = headers.get('ETag') ?? undefined;
  // A weak validator does not promise the same bytes.
  const etag = tag?.startsWith('W/') === true ? undefined : tag;
  return {
    name,
    url,
    size,
    checksum: checksumOf(headers),
    etag,
    key: await keyOf(`${url}\n${tag ?? headers.get('Last-Modified') ?? ''}\n${size}`),
  };
}

async function ask(url: string, init: RequestInit, send: UrlAccess['send']): Promise<Response> {
  try {
    return await send(url, init);
  } catch (error) {
    throw unreachable(url, error);
  }
}

function checksumOf(headers: Headers): Checksum | undefined {
  const linked = /^"?([0-9a-f]{64})"?$/.exec(headers.get('X-Linked-ETag') ?? '')?.[1];
  if (linked !== undefined) return { kind: 'sha256', hex: linked };
  const base64 = /sha-256=:([A-Za-z0-9+/=]{44}):/.exec(headers.get('Repr-Digest') ?? '')?.[1];
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
