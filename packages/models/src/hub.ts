import { isLowrankError, LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import { networkReason, statusOf, withoutSecrets } from '@lowrank/safetensors';
import type { ModelCache } from './cache.js';
import { checksumOfKey } from './hubDigest.js';
import type { RemoteFile } from './remoteFile.js';
import { hubSend } from './hubAccess.js';
import type { HubAccess } from './hubAccess.js';
import { hubQuestions, wrongListing } from './hubListing.js';
import { isGgufName } from './ggufName.js';
import { isNeeded } from './neededFiles.js';

/** A repository on a hub, at a branch, a tag or a commit. */
export interface HubId {
  /** owner/name */
  readonly id: string;
  /** Default: main. */
  readonly revision: string;
}

/** Files of a model as they are at one moment. */
export interface Listing {
  /** The commit; the name of the snapshot in the cache. */
  readonly snapshot: string;
  readonly files: readonly RemoteFile[];
  /** Names that the server answers with a web page. */
  readonly pages?: readonly string[];
}

/** A commit of Git, in SHA-1 or SHA-256. */
const commitPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** `owner/name` or `owner/name@revision`; undefined for anything else. */
export function parseHubId(text: string): HubId | undefined {
  const match = /^([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([\w-][\w./-]*))?$/.exec(text);
  if (match?.[1] === undefined || text.includes('..')) return undefined;
  return { id: match[1], revision: match[2] ?? 'main' };
}

/**
 * Refuses an id or a revision that is no name: both become parts of addresses and of paths.
 *
 * @throws LowrankError `files.unsafeName`
 */
export function checkHubId({ id, revision }: HubId): void {
  const [owner, name, ...more] = id.split('/');
  for (const part of [owner, name, ...more.map(() => undefined)])
    safeName(part, { what: `the hub id ${withoutSecrets(id)}` });
  for (const part of revision.split('/'))
    safeName(part, { what: `the revision ${withoutSecrets(revision)} of ${withoutSecrets(id)}` });
}

/**
 * The commit that a revision stands for and the files of its root folder, by the hub's API
 * (https://huggingface.co/docs/hub/api). Large files have LFS's SHA-256, small ones Git's SHA-1; both are also the names
 * of their blobs in the hub's cache.
 *
 * @throws LowrankError `models.gated`, `models.notFound`, `models.hub` (other answers), `models.offline` (no network),
 * `files.unsafeName` (a hub that sends paths for hashes)
 */
export async function listHub({ id, revision }: HubId, access: HubAccess): Promise<Listing> {
  const { endpoint } = access;
  const hubUrl = endpoint.url.replace(/\/+$/, '');
  const ask = hubQuestions(access, hubSend(access), (response, said) =>
    hubRefusal(response, { id, revision, access, said }),
  );
  try {
    const api = `${hubUrl}/api/models/${id}`;
    const snapshot = safeName(
      commitPattern.test(revision) ? revision : await commitOf(api, revision, { ask, access }),
      {
        what: `the commit of ${id} that ${endpoint.shown} names`,
        pattern: commitPattern,
      },
    );
    const files: RemoteFile[] = [];
    for (let page: string | undefined = `${api}/tree/${snapshot}?recursive=false&expand=false`; page !== undefined;) {
      const { value, next } = await ask(page);
      if (!Array.isArray(value) || !value.every(isObject))
        throw wrongListing(endpoint, 'a list of files', 'another value');
      for (const entry of value) {
        const file = neededFile(entry, { from: endpoint.shown, folder: `${hubUrl}/${id}/resolve/${snapshot}` });
        if (file !== undefined) files.push(file);
      }
      page = next;
    }
    return { snapshot, files };
  } catch (error) {
    if (isLowrankError(error) || access.signal?.aborted === true) throw error;
    throw unreachable(endpoint.shown, error);
  }
}

/** The commit that a branch or a tag stands for, as the hub says: not yet known to be one. */
async function commitOf(
  api: string,
  revision: string,
  { ask, access }: { readonly ask: ReturnType<typeof hubQuestions>; readonly access: HubAccess },
): Promise<unknown> {
  const { value } = await ask(`${api}/revision/${encodeURIComponent(revision)}?expand=sha`);
  if (!isObject(value) || Array.isArray(value)) throw wrongListing(access.endpoint, 'an object', 'another value');
  return 'sha' in value ? value.sha : undefined;
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** A file of a listing that Lowrank may need; undefined for folders and all others. */
function neededFile(
  entry: { readonly [key in 'type' | 'path' | 'size' | 'oid' | 'lfs']?: unknown },
  { from, folder }: { readonly from: string; readonly folder: string },
): RemoteFile | undefined {
  const { type, path: name } = entry;
  if (type !== 'file' || typeof name !== 'string' || !(isNeeded(name) || isGgufName(name))) return undefined;
  const large = (entry.lfs ?? {}) as { readonly oid?: unknown; readonly size?: unknown };
  const key = safeName(large.oid ?? entry.oid, { what: `the hash of ${name} on ${from}`, pattern: commitPattern });
  const size = large.size ?? entry.size;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new LowrankError({
      code: 'models.hub',
      what: `the size of ${name} on ${from}`,
      expected: 'a number of bytes',
      got: withoutSecrets(JSON.stringify(size) ?? 'none'),
      remedy: 'This is no answer of a hub: check HF_ENDPOINT.',
    });
  }
  const url = `${folder}/${encodeURIComponent(name)}`;
  return { name, url, shown: withoutSecrets(url), size, key, checksum: checksumOfKey(key) };
}

/** What a hub's refusal means for the one who asked. */
export function hubRefusal(
  response: Response,
  { id, revision, access, ...body }: HubId & { readonly access: HubAccess; readonly said?: string | undefined },
): LowrankError {
  const shown = access.endpoint.shown.replace(/\/+$/, '');
  const what = `${id}${revision === 'main' ? '' : `@${revision}`} on ${shown}`;
  const code = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message') ?? body.said;
  const got = [
    statusOf(response),
    ...(said === undefined ? [] : [withoutSecrets(said, [access.token, access.endpoint.authorization])]),
  ].join(': ');
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
      remedy: `The model is gated: accept its terms at ${shown}/${id}, then ${token}.`,
    });
  }
  if (code === 'RevisionNotFound')
    return new LowrankError({
      code: 'models.notFound',
      what,
      expected: `the branch, tag or commit ${revision}`,
      got,
      remedy: `See its branches at ${shown}/${id}/tree/main.`,
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
    remedy: 'Try again later, or another HF_ENDPOINT; HF_HUB_OFFLINE=1 uses what the cache holds.',
  });
}

export function unreachable(shown: string, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'models.offline',
    what: shown,
    expected: 'an answer',
    got: withoutSecrets(networkReason(cause)),
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
  const snapshot = commitPattern.test(revision) ? revision : await cache.ref(revision);
  if (snapshot === undefined) return undefined;
  const files = await cache.files(snapshot);
  return files.size === 0 ? undefined : { snapshot, files };
}
