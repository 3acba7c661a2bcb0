import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { ModelCache } from './cache.js';
import { checksumOfKey } from './hubDigest.js';
import type { RemoteFile } from './hubDownload.js';
import { reason } from './hubDownload.js';

/** A repository on a hub, at a branch, a tag or a commit. */
export interface HubId {
  /** owner/name */
  readonly id: string;
  /** Default: main. */
  readonly revision: string;
}

/** Where a hub is and who asks. */
export interface HubAccess {
  /** https://huggingface.co, a mirror, or an own server, without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string | undefined;
  readonly fetch: typeof fetch;
}

/** Files of a model as they are at one moment. */
export interface Listing {
  /** The commit; the name of the snapshot in the cache. */
  readonly snapshot: string;
  readonly files: readonly RemoteFile[];
}

/** `owner/name` or `owner/name@revision`; undefined for anything else. */
export function parseHubId(text: string): HubId | undefined {
  const match = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?$/.exec(text);
  if (match?.[1] === undefined || text.includes('..')) return undefined;
  return { id: match[1], revision: match[2] ?? 'main' };
}

/**
 * Asks a hub with the token; a token goes to the endpoint alone, since fetch drops it where a redirect leaves the host.
 */
export function hubSend({ token, fetch: send }: HubAccess): (url: string, init: RequestInit) => Promise<Response> {
  return (url, init) => {
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set('Authorization', `Bearer ${token}`);
    return send(url, { ...init, headers });
  };
}

/**
 * The commit that a revision stands for and the files of its root folder, by `@huggingface/hub`. Large files have LFS's
 * SHA-256, small ones Git's SHA-1; both are also the names of their blobs in the hub's cache.
 *
 * @throws LowrankError `models.gated`, `models.notFound`, `models.hub` (other answers), `models.offline` (no network)
 */
export async function listHub({ id, revision }: HubId, access: HubAccess): Promise<Listing> {
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  const { endpoint } = access;
  const ask = hubSend(access);
  let refused: Response | undefined;
  const send: typeof fetch = async (input, init) => {
    const response = await ask(input instanceof Request ? input.url : String(input), init ?? {});
    if (!response.ok) refused = response;
    return response;
  };
  try {
    const snapshot = /^[0-9a-f]{40}$/.test(revision)
      ? revision
      : (await modelInfo({ name: id, revision, additionalFields: ['sha'], hubUrl: endpoint, fetch: send })).sha;
    const files: RemoteFile[] = [];
    for await (const { type, path, size, oid, lfs } of listFiles({
      repo: id,
      revision: snapshot,
      hubUrl: endpoint,
      fetch: send,
    })) {
      const key = lfs?.oid ?? oid;
      if (type === 'file' && key !== undefined)
        files.push({
          name: path,
          url: `${endpoint}/${id}/resolve/${snapshot}/${encodeURIComponent(path)}`,
          size: lfs?.size ?? size,
          key,
          checksum: checksumOfKey(key),
        });
    }
    return { snapshot, files };
  } catch (error) {
    if (refused !== undefined) throw hubRefusal(refused, { id, revision, access, cause: error });
    if (isLowrankError(error)) throw error;
    throw unreachable(endpoint, error);
  }
}

/** What a hub's refusal means for the one who asked. */
export function hubRefusal(
  response: Response,
  { id, revision, access, cause }: HubId & { readonly access: HubAccess; readonly cause?: unknown },
): LowrankError {
  const what = `${id}${revision === 'main' ? '' : `@${revision}`} on ${access.endpoint}`;
  const code = response.headers.get('x-error-code');
  const got = [
    `${response.status} ${response.statusText}`.trim(),
    response.headers.get('x-error-message') ??
      (cause instanceof Error ? cause.message.replace(/\. URL: .*$/s, '') : undefined),
  ]
    .filter((part) => part !== undefined)
    .join(': ');
  const token =
    access.token === undefined
      ? 'set HF_TOKEN to a token of your account'
      : 'check that the token in HF_TOKEN belongs to that account and may read gated repositories';
  if (code === 'GatedRepo' || (response.status === 403 && code === null)) {
    return new LowrankError({
      code: 'models.gated',
      what,
      expected: 'a model that this account may download',
      got,
      remedy: `The model is gated: accept its terms at ${access.endpoint}/${id}, then ${token}.`,
    });
  }
  if (code === 'RevisionNotFound')
    return new LowrankError({
      code: 'models.notFound',
      what,
      expected: `the branch, tag or commit ${revision}`,
      got,
      remedy: `See its branches at ${access.endpoint}/${id}/tree/main.`,
    });
  if (response.status === 404 || response.status === 401) {
    return new LowrankError({
      code: 'models.notFound',
      what,
      expected: 'a folder here, or a repository that this account may see',
      got,
      remedy: `Check the name for a misspelling; if it is private, ${token}.`,
    });
  }
  return new LowrankError({
    code: 'models.hub',
    what,
    expected: 'an answer',
    got,
    remedy: 'Try again later, or another HF_ENDPOINT.',
  });
}

export function unreachable(endpoint: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'models.offline',
    what: endpoint,
    expected: 'an answer',
    got: reason(cause),
    remedy: 'Check the network. What is in the cache can be used without one: HF_HUB_OFFLINE=1.',
    cause,
  });
}

/**
 * A listing of what the cache holds of a model, for a machine without a network; undefined where it holds nothing of
 * that revision.
 */
export async function listCached(
  { revision }: Pick<HubId, 'revision'>,
  cache: ModelCache,
): Promise<{ snapshot: string; files: ReadonlyMap<string, string | undefined> } | undefined> {
  const snapshot = /^[0-9a-f]{40}$/.test(revision) ? revision : await cache.ref(revision);
  if (snapshot === undefined) return undefined;
  const files = await cache.files(snapshot);
  return files.size === 0 ? undefined : { snapshot, files };
}
