import { LowrankError, isLowrankError } from '@lowrank/errors';
import type { ModelCache } from './cache.js';
import type { ModelFiles } from './files.js';
import { companionFiles } from './files.js';
import type { HubAccess, HubId, Listing } from './hub.js';
import { hubRefusal, hubSend, listCached, listHub } from './hub.js';
import { checksumOfKey } from './hubDigest.js';
import type { RemoteFile, Transfer } from './hubDownload.js';
import { download, isCached, isRight } from './hubDownload.js';
import { listUrl, urlSnapshot } from './hubUrl.js';
import { TransferMeter } from './progress.js';
import type { TransferProgress } from './progress.js';

/** What a folder of a model or an adapter may hold beside its weights. */
const companions: readonly string[] = ['config.json', ...companionFiles, 'chat_template.json', 'adapter_config.json'];

/** Weights: the index of shards is asked for before the single file, which then is not. */
const weights = {
  model: { index: 'model.safetensors.index.json', single: 'model.safetensors' },
  adapter: { index: undefined, single: 'adapter_model.safetensors' },
};

export interface DownloadOptions {
  readonly cache: ModelCache;
  readonly fetch?: typeof fetch | undefined;
  /** Of the hub. Default: https://huggingface.co. */
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  /** Use what the cache holds and ask nobody. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For tests: see Transfer. */
  readonly pause?: Transfer['pause'];
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
 * @param from a hub id, or the URL of a folder
 * @throws LowrankError `models.gated`, `models.notFound`, `models.hub`, `models.offline`, `models.download`,
 * `models.checksum`, `models.noFile`
 */
export async function downloadModel(from: HubId | string, options: DownloadOptions): Promise<DownloadedModel> {
  const { cache } = options;
  const access: HubAccess = {
    endpoint: (options.endpoint ?? 'https://huggingface.co').replace(/\/+$/, ''),
    token: options.token,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
  };
  const name = typeof from === 'string' ? from : `${from.id}@${from.revision}`;
  const revision = typeof from === 'string' ? urlSnapshot : from.revision;
  if (options.offline === true) return cached(name, revision, options);
  const send = typeof from === 'string' ? access.fetch : hubSend(access);
  let listing: Listing;
  try {
    listing =
      typeof from === 'string'
        ? await listUrl(
            from.replace(/\/+$/, ''),
            [...companions, weights.model.index, weights.model.single, weights.adapter.single],
            { send },
          )
        : await listHub(from, access);
  } catch (error) {
    if (
      !isLowrankError(error) ||
      error.code !== 'models.offline' ||
      (await listCached({ revision }, cache)) === undefined
    )
      throw error;
    options.onWarning?.(
      `${error.what} does not answer (${error.got ?? 'no reason given'}); the files of ${name} in the cache are used`,
    );
    return cached(name, revision, options);
  }
  const transfer: Omit<Transfer, 'onBytes'> = {
    send,
    refuse: (response) =>
      typeof from === 'string' ? refusedFile(response) : hubRefusal(response, { ...from, access }),
    onWarning: options.onWarning,
    signal: options.signal,
    pause: options.pause,
  };
  const fetched = await fetchAll(name, listing, {
    ...options,
    transfer,
    base: typeof from === 'string' ? from.replace(/\/+$/, '') : undefined,
  });
  if (revision !== listing.snapshot || typeof from === 'string') await cache.setRef(revision, listing.snapshot);
  return { ...fetched, snapshot: listing.snapshot };
}

function refusedFile(response: Response): LowrankError {
  return new LowrankError({
    code: 'models.download',
    what: response.url,
    expected: 'the file',
    got: `${response.status} ${response.statusText}`.trim(),
    remedy: 'Check the address and who may read it.',
  });
}

interface FetchOptions extends DownloadOptions {
  readonly transfer: Omit<Transfer, 'onBytes'>;
  /** Of a model below a URL: its shards have to be asked for once the index is known. */
  readonly base?: string | undefined;
}

async function fetchAll(
  name: string,
  listing: Listing,
  { cache, transfer, base, onProgress, onWarning }: FetchOptions,
): Promise<ModelFiles> {
  const { snapshot } = listing;
  const byName = new Map(listing.files.map((file) => [file.name, file]));
  const done = new Set<string>();
  const bring = async (files: readonly RemoteFile[]): Promise<void> => {
    const missing: { file: RemoteFile; kept: number }[] = [];
    for (const file of files) {
      if (await isCached(file, cache, onWarning)) continue;
      const kept = await cache.partialSize(file.key);
      missing.push({ file, kept: kept <= file.size ? kept : 0 });
    }
    const meter = new TransferMeter({
      totalBytes: missing.reduce((sum, { file }) => sum + file.size, 0),
      bytes: missing.reduce((sum, { kept }) => sum + kept, 0),
    });
    let last = -Infinity;
    for (const { file } of missing) {
      await download(file, cache, {
        ...transfer,
        onBytes(of, count) {
          const progress = meter.add(of.name, count);
          const now = performance.now();
          if (now - last < 100 && progress.bytes < progress.totalBytes) return;
          last = now;
          onProgress?.(progress);
        },
      });
    }
    for (const file of files) {
      await cache.link(snapshot, file.name, file.key);
      done.add(file.name);
    }
  };
  const index = byName.get(weights.model.index);
  await bring([
    ...companions.flatMap((companion) => byName.get(companion) ?? []),
    ...(index === undefined ? [] : [index]),
  ]);
  const files: ModelFiles = {
    name,
    file: (wanted) => (done.has(wanted) ? cache.open(snapshot, wanted) : Promise.resolve(undefined)),
  };
  const shardNames = index === undefined ? [] : await shardsOf(files);
  if (base !== undefined && shardNames.length > 0)
    for (const file of (await listUrl(base, shardNames, transfer)).files) byName.set(file.name, file);
  const singles =
    index === undefined
      ? [weights.model.single, weights.adapter.single].filter((single) => byName.has(single))
      : shardNames;
  const absent = singles.find((single) => !byName.has(single));
  if (absent !== undefined || singles.length === 0)
    throw noWeights(name, absent, byName.has('pytorch_model.bin') || byName.has('adapter_model.bin'));
  await bring(singles.flatMap((single) => byName.get(single) ?? []));
  return files;
}

/**
 * The shards that an index names; paths that leave the folder are no shards. Opening the file reports what else is
 * wrong with it.
 */
async function shardsOf(files: ModelFiles): Promise<string[]> {
  const source = await files.file(weights.model.index);
  if (source === undefined) return [];
  const index: unknown = JSON.parse(new TextDecoder().decode(await source.read(0, await source.size())));
  const map =
    typeof index === 'object' && index !== null && 'weight_map' in index && typeof index.weight_map === 'object'
      ? index.weight_map
      : {};
  return [
    ...new Set(
      Object.values(map ?? {}).filter((file) => typeof file === 'string' && /^[\w.-]+\.safetensors$/.test(file)),
    ),
  ];
}

function noWeights(name: string, absent: string | undefined, pickle: boolean): LowrankError {
  return new LowrankError({
    code: 'models.noFile',
    what: name,
    expected: absent ?? 'model.safetensors, its shards with model.safetensors.index.json, or adapter_model.safetensors',
    got: pickle ? 'weights as a pickle alone' : 'none',
    remedy: pickle
      ? 'Look for a revision with safetensors (often refs/pr/…), or convert it: a pickle can run code when it is read.'
      : 'Choose another model or revision.',
  });
}

/** The files of the cache alone; a damaged one is an error here, since nobody can be asked for it. */
async function cached(name: string, revision: string, { cache }: DownloadOptions): Promise<DownloadedModel> {
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
    if (key === undefined || !(companions.includes(file) || /\.safetensors(\.index\.json)?$/.test(file))) continue;
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
  const absent = (await shardsOf(files)).find((shard) => !held.files.has(shard));
  if (absent !== undefined) throw noWeights(name, absent, false);
  return { ...files, snapshot };
}
