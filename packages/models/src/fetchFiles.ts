import { LowrankError } from '@lowrank/errors';
import { safeName } from '@lowrank/files/names';
import type { ModelCache } from './cache.js';
import { isGgufName } from './ggufName.js';
import type { ModelFiles } from './files.js';
import { readJson } from './files.js';
import type { Listing } from './hub.js';
import type { RemoteFile, Transfer } from './remoteFile.js';
import { download, isCached } from './hubDownload.js';
import { companions, isShardName, largestCompanion, mostShards, weights } from './neededFiles.js';
import { TransferMeter } from './progress.js';
import type { TransferProgress } from './progress.js';

export interface FetchOptions {
  readonly cache: ModelCache;
  readonly transfer: Omit<Transfer, 'onBytes'>;
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  /** Where nothing lists a folder: looks for shards once the index is known. */
  readonly listMore?: ((names: readonly string[]) => Promise<Listing>) | undefined;
  /** This file alone. */
  readonly only?: string | undefined;
}

/** Brings what Lowrank needs of a listing into the cache: companions, then the index's shards or the single file. */
export async function fetchFiles(name: string, listing: Listing, options: FetchOptions): Promise<ModelFiles> {
  const { cache, listMore } = options;
  const { snapshot } = listing;
  const byName = new Map(listing.files.map((file) => [file.name, file]));
  const done = new Set<string>();
  const bring = async (names: readonly string[]): Promise<void> => {
    const files = names.flatMap((wanted) => byName.get(wanted) ?? []);
    await bringAll(files, options);
    for (const file of files) {
      await cache.link(snapshot, file.name, file.key);
      done.add(file.name);
    }
  };
  const { only } = options;
  await bring(only === undefined ? [...companions, weights.index] : [only]);
  const files: ModelFiles = {
    name,
    file: (wanted) => (done.has(wanted) ? cache.open(snapshot, wanted) : Promise.resolve(undefined)),
  };
  if (only !== undefined) {
    if (done.has(only)) return files;
    throw noWeights(name, only, { pickle: false, page: (listing.pages ?? []).length > 0 });
  }
  const isSharded = done.has(weights.index);
  const shards = isSharded ? await shardsOf(files) : [];
  const more = shards.length > 0 ? await listMore?.(shards) : undefined;
  for (const file of more?.files ?? []) byName.set(file.name, file);
  const singles = isSharded ? shards : weights.singles.filter((single) => byName.has(single));
  const absent = singles.find((single) => !byName.has(single));
  if (absent !== undefined || singles.length === 0) {
    throw noWeights(name, absent, {
      pickle: weights.pickles.some((pickle) => byName.has(pickle)),
      page: [...(listing.pages ?? []), ...(more?.pages ?? [])].length > 0,
    });
  }
  await bring(singles);
  // A folder that changes in place may have lost files since: files that have disappeared are not part of the model.
  if (listMore !== undefined)
    for (const held of (await cache.files(snapshot)).keys()) if (!done.has(held)) await cache.unlink(snapshot, held);
  return files;
}

async function bringAll(files: readonly RemoteFile[], { cache, transfer, onProgress }: FetchOptions): Promise<void> {
  const missing: { file: RemoteFile; kept: number }[] = [];
  for (const file of files) {
    checkSize(file);
    if (await isCached(file, cache, transfer.onWarning)) continue;
    const kept = file.size === undefined ? 0 : await cache.partialSize(file.key);
    missing.push({ file, kept: kept <= (file.size ?? 0) ? kept : 0 });
  }
  const meter = new TransferMeter({
    totalBytes: missing.reduce((sum, { file }) => sum + (file.size ?? 0), 0),
    bytes: missing.reduce((sum, { kept }) => sum + kept, 0),
  });
  await checkRoom(
    missing.reduce((sum, { file, kept }) => sum + Math.max(0, (file.size ?? 0) - kept), 0),
    cache,
  );
  let last = -Infinity;
  for (const { file } of missing) {
    await download(file, cache, {
      ...transfer,
      onBytes(of, count) {
        if (of.size === undefined) meter.grow(count);
        const progress = meter.add(of.name, count);
        const now = performance.now();
        if (now - last < 100 && progress.bytes < progress.totalBytes) return;
        last = now;
        onProgress?.(progress);
      },
    });
  }
}

/** Whether the cache has room for what is missing, where the platform tells: better now than after an hour. */
async function checkRoom(needed: number, cache: ModelCache): Promise<void> {
  const room = needed === 0 ? undefined : await cache.room?.();
  if (room === undefined || room >= needed) return;
  throw new LowrankError({
    code: cache.full.code,
    what: `the disk of ${cache.name}`,
    expected: `room for the ${needed} bytes (${gigabytes(needed)}) that are still to be downloaded`,
    got: `${room} bytes (${gigabytes(room)}) free`,
    remedy: `${cache.full.remedy} What has arrived is kept.`,
  });
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

/** Weights may have any length; a configuration of gigabytes is a mistake or an attack. */
function checkSize({ name, shown, size = 0 }: RemoteFile): void {
  if (isShardName(name) || isGgufName(name) || size <= largestCompanion) return;
  throw new LowrankError({
    code: 'models.download',
    what: shown,
    expected: `at most ${largestCompanion} bytes`,
    got: `${size}`,
    remedy: 'This is no file of a model. Nothing of it was downloaded.',
  });
}

/**
 * The shards that an index names. Opening the file reports what else is wrong with it.
 *
 * @throws LowrankError `models.json`, `files.unsafeName` (a path), `models.noFile` (more than any model has)
 */
export async function shardsOf(files: ModelFiles): Promise<string[]> {
  if ((await files.file(weights.index)) === undefined) return [];
  const { weight_map: map } = await readJson(files, weights.index);
  const names = new Set<string>();
  for (const name of typeof map === 'object' && map !== null ? (Object.values(map) as unknown[]) : [])
    names.add(safeName(name, { what: `a shard that ${weights.index} of ${files.name} names` }));
  if (names.size <= mostShards) return [...names];
  throw new LowrankError({
    code: 'models.noFile',
    what: `${weights.index} of ${files.name}`,
    expected: `at most ${mostShards} shards`,
    got: `${names.size}`,
    remedy: 'This is no index of a model.',
  });
}

/** The files that a model or an adapter is read from, by name, as far as they are there. */
export async function modelFileNames(files: ModelFiles): Promise<string[]> {
  const names = [...companions, weights.index, ...weights.singles, ...(await shardsOf(files))];
  const found: string[] = [];
  for (const name of names) if ((await files.file(name)) !== undefined) found.push(name);
  return found;
}

/** What there is instead of weights. */
interface Instead {
  readonly pickle: boolean;
  /** The server answers with web pages. */
  readonly page: boolean;
}

export function noWeights(name: string, absent: string | undefined, { pickle, page }: Instead): LowrankError {
  const complaint = {
    code: 'models.noFile',
    what: name,
    expected: absent ?? 'model.safetensors, its shards with model.safetensors.index.json, or adapter_model.safetensors',
  };
  if (pickle) {
    return new LowrankError({
      ...complaint,
      got: 'weights as a pickle alone',
      remedy:
        'Look for a revision with safetensors (often refs/pr/…), or convert it: a pickle can run code when it is read.',
    });
  }
  if (page) {
    return new LowrankError({
      ...complaint,
      got: 'a web page: a login, a notice of this network, or the start page of an application',
      remedy: 'Check the address: open it in a browser to see the page.',
    });
  }
  return new LowrankError({ ...complaint, got: 'none', remedy: 'Choose another model or revision.' });
}
