import { LowrankError, isLowrankError } from '@lowrank/errors';
import { statusOf, urlSource, webAddress } from '@lowrank/safetensors';
import type { Pause, WebAddress } from '@lowrank/safetensors';
import type { AskPolicy, Send } from './ask.js';
import type { ModelCache } from './cache.js';
import { isGgufName } from './ggufName.js';
import { fetchFiles, modelFileNames, noWeights, shardsOf } from './fetchFiles.js';
import type { ModelFiles } from './files.js';
import type { HubId, Listing } from './hub.js';
import { checkHubId, hubRefusal, listCached, listHub } from './hub.js';
import { hubSend } from './hubAccess.js';
import type { HubAccess } from './hubAccess.js';
import { checksumOfKey } from './hubDigest.js';
import type { Transfer } from './remoteFile.js';
import { isRight } from './hubDownload.js';
import { listUrl, urlSnapshot } from './hubUrl.js';
import { askedNames, isNeeded } from './neededFiles.js';
import type { TransferProgress } from './progress.js';
import type { TransferTiming } from './transferTiming.js';
import { defaultTiming } from './transferTiming.js';

/** How files are fetched: cache, access token, endpoint, patience. */
export interface DownloadOptions {
  readonly cache: ModelCache;
  readonly fetch?: typeof fetch | undefined;
  /** Of the hub. Default: https://huggingface.co. */
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  /** One file of it, a GGUF file, and nothing else. */
  readonly only?: string | undefined;
  /** Use what the cache holds and ask nobody. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long a server may take. */
  readonly timing?: Partial<TransferTiming> | undefined;
  /** Waits before the n-th try in a row; tests wait less. */
  readonly pause?: Pause | undefined;
}

/** A model of a hub, or below a URL, as files of the cache: what is missing there has been downloaded and checked. */
export interface DownloadedModel extends ModelFiles {
  readonly snapshot: string;
}

/**
 * Downloads what Lowrank needs of a model (configuration, tokenizer, safetensors; nothing else) into a cache, as far as
 * it is not there, and gives its files.
 *
 * Without a network, or with `offline`, what the cache holds of the revision is used. Sizes are compared always; a
 * blob's checksum when it was downloaded or has changed since it was last compared.
 *
 * A server that is silent, endless, or sends other things than it said is given up, with the cause in the error.
 * Credentials (a token, or user and password in the URL) go to their own host alone, and into no message.
 *
 * @param from a hub id, or the URL of a folder
 * @throws LowrankError `models.gated`, `models.notFound`, `models.hub`, `models.offline`, `models.download`,
 * `models.checksum`, `models.noFile`, `models.cache`, `files.unsafeName`, `web.address`
 */
export async function downloadModel(from: HubId | string, options: DownloadOptions): Promise<DownloadedModel> {
  const { cache } = options;
  const origin = typeof from === 'string' ? urlOrigin(from, options) : hubOrigin(from, options);
  const { name, revision } = origin;
  if (options.offline === true) return cached(name, revision, options);
  let listing: Listing;
  try {
    listing = await origin.list();
  } catch (error) {
    if (!isLowrankError(error) || error.code !== 'models.offline') throw error;
    if ((await listCached({ revision }, cache)) === undefined) throw error;
    options.onWarning?.(
      `${error.what} does not answer (${error.got ?? 'no reason given'}); the files of ${name} in the cache are used`,
    );
    return cached(name, revision, options);
  }
  const { onWarning, signal, pause, onProgress } = options;
  const { send, refuse, timing, listMore } = origin;
  const fetched = await fetchFiles(name, listing, {
    cache,
    transfer: { send, refuse, timing, onWarning, signal, pause },
    onProgress,
    listMore,
    only: options.only,
  });
  if (revision !== listing.snapshot || typeof from === 'string') await cache.setRef(revision, listing.snapshot);
  return { ...fetched, snapshot: listing.snapshot };
}

/** A model of a hub, or below a URL, whose files are read where they are. */
export interface RemoteModel extends ModelFiles {
  /** Of all files that a download would bring. */
  readonly bytes: number;
  /** Of those that the cache does not hold yet. */
  readonly missingBytes: number;
}

/**
 * Looks at a model before it is downloaded: its files are there to be read by ranges, so that the configuration and the
 * header of the weights cost some hundred kilobytes.
 *
 * @throws LowrankError as downloadModel does, but for the cache
 */
export async function lookAtRemote(
  from: HubId | string,
  options: Omit<DownloadOptions, 'cache' | 'offline'> & { readonly cache?: ModelCache | undefined },
): Promise<RemoteModel> {
  const origin = typeof from === 'string' ? urlOrigin(from, options) : hubOrigin(from, options);
  const listing = await origin.list();
  const byName = new Map(listing.files.map((file) => [file.name, file]));
  const files: ModelFiles = {
    name: origin.name,
    file(name) {
      const file = byName.get(name);
      const send: typeof fetch = (url, init) => origin.send(String(url), init ?? {});
      const request = options.signal === undefined ? {} : { request: { signal: options.signal } };
      return Promise.resolve(file === undefined ? undefined : urlSource(file.url, { ...request, fetch: send }));
    },
  };
  const shards = options.only === undefined ? await shardsOf(files) : [];
  const more = shards.length > 0 ? await origin.listMore?.(shards) : undefined;
  for (const file of more?.files ?? []) byName.set(file.name, file);
  let [bytes, missingBytes] = [0, 0];
  for (const name of options.only === undefined ? await modelFileNames(files) : [options.only]) {
    const { size = 0, key } = byName.get(name) ?? {};
    bytes += size;
    const held = key === undefined ? undefined : await options.cache?.blob(key);
    missingBytes += held === undefined ? size - Math.min(size, (await partialBytes(key, options.cache)) ?? 0) : 0;
  }
  return { ...files, bytes, missingBytes };
}

function partialBytes(key: string | undefined, cache: ModelCache | undefined): Promise<number> | undefined {
  return key === undefined ? undefined : cache?.partialSize(key);
}

/** Where a model comes from. */
interface Origin {
  /** For messages: without credentials. */
  readonly name: string;
  readonly revision: string;
  readonly send: Send;
  readonly timing: TransferTiming;
  readonly refuse: Transfer['refuse'];
  list(): Promise<Listing>;
  readonly listMore?: (names: readonly string[]) => Promise<Listing>;
}

type OriginOptions = Omit<DownloadOptions, 'cache'>;

const timingOf = (options: OriginOptions): TransferTiming => ({ ...defaultTiming, ...options.timing });

function hubOrigin(from: HubId, options: OriginOptions): Origin {
  checkHubId(from);
  const { token, signal, pause } = options;
  const access: HubAccess = {
    endpoint: webAddress(options.endpoint ?? 'https://huggingface.co'),
    token,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    timing: timingOf(options),
    signal,
    pause,
  };
  return {
    name: `${from.id}@${from.revision}`,
    revision: from.revision,
    send: hubSend(access),
    timing: access.timing,
    refuse: (response) => hubRefusal(response, { ...from, access }),
    list: () => listHub(from, access),
  };
}

function urlOrigin(from: string, options: OriginOptions): Origin {
  const address = webAddress(from);
  const timing = timingOf(options);
  const send = urlSend(address, options.fetch ?? ((input, init) => fetch(input, init)));
  const policy: AskPolicy = { send, timing, signal: options.signal, pause: options.pause };
  const listMore = (names: readonly string[]): Promise<Listing> => listUrl(address, names, policy);
  return {
    name: address.shown,
    revision: urlSnapshot,
    send,
    timing,
    refuse: (response, file) => refusedFile(response, file.shown),
    list: () => listMore(options.only === undefined ? askedNames : [options.only]),
    listMore,
  };
}

/** User and password of a URL go to its host; `fetch` drops them where a redirect leaves it. */
function urlSend({ authorization }: WebAddress, send: typeof fetch): Send {
  return (url, init) => {
    const headers = new Headers(init.headers);
    if (authorization !== undefined) headers.set('Authorization', authorization);
    return send(url, { ...init, headers });
  };
}

function refusedFile(response: Response, shown: string): LowrankError {
  return new LowrankError({
    code: 'models.download',
    what: shown,
    expected: 'the file',
    got: statusOf(response),
    remedy: 'Check the address and who may read it.',
  });
}

/** The files of the cache alone; a damaged one is an error here, since nobody can be asked for it. */
async function cached(name: string, revision: string, { cache, only }: DownloadOptions): Promise<DownloadedModel> {
  const held = await listCached({ revision }, cache);
  if (held === undefined) {
    throw new LowrankError({
      code: 'models.offline',
      what: name,
      expected: `its files in ${cache.name}`,
      got: 'none',
      remedy: 'Offline mode (HF_HUB_OFFLINE) downloads nothing: switch it off once, or give a folder.',
    });
  }
  const { snapshot } = held;
  for (const [file, key] of held.files) {
    if (key === undefined || !(isNeeded(file) || isGgufName(file))) continue;
    const blob = await cache.blob(key);
    if (blob !== undefined && (await isRight(key, { blob, checksum: checksumOfKey(key), cache }))) continue;
    throw new LowrankError({
      code: 'models.checksum',
      what: `${file} of ${name} in ${cache.name}`,
      expected: 'the bytes that its name stands for',
      got: blob === undefined ? 'nothing' : 'others',
      remedy: 'The cache is damaged: run once without HF_HUB_OFFLINE, and the file is downloaded again.',
    });
  }
  const files: ModelFiles = {
    name,
    file: (wanted) => (held.files.has(wanted) ? cache.open(snapshot, wanted) : Promise.resolve(undefined)),
  };
  const wanted = only === undefined ? await shardsOf(files) : [only];
  const absent = wanted.find((file) => !held.files.has(file));
  if (absent !== undefined) throw noWeights(name, absent, { pickle: false, page: false });
  return { ...files, snapshot };
}
