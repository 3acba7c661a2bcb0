import type { Disk } from '@lowrank/files';
import { joinPath, overQuota, ownDisk } from '@lowrank/files';
import type { ModelFiles, TransferProgress } from '@lowrank/models';
import { createDigest, modelFileNames, TransferMeter } from '@lowrank/models';
import type { ByteSource } from '@lowrank/safetensors';
import { storageState } from './storageState.js';

export interface KeepOptions {
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a kept model's folder says of it, once all of it is there. */
export const keptFile = '.lowrank-model.json';

/** Of {@link keptFile}. */
export interface KeptModel {
  readonly name: string;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

const partialPrefix = '.lowrank-partial-';
/** What is in memory at a time. */
const piece = 4 * 2 ** 20;

/**
 * Copies a model's files into a folder of the storage, piece by piece. What an earlier copy left is compared with the
 * source, and gone on from; a reader finds a configuration only when all else is there.
 *
 * @throws LowrankError `storage.quota`, `files.locked`, `models.noFile`; the signal's reason
 */
export async function keepFiles(files: ModelFiles, folder: string, name: string, options: KeepOptions): Promise<void> {
  const found = (await modelFileNames(files)).map(async (file) => [file, await files.file(file)] as const);
  const sources = (await Promise.all(found)).flatMap(([file, source]) =>
    source === undefined ? [] : [[file, source] as const],
  );
  const isConfig = ([file]: readonly [string, ByteSource]): boolean => /^(adapter_)?config\.json$/.test(file);
  const ordered = [...sources.filter((each) => !isConfig(each)), ...sources.filter(isConfig)];
  let totalBytes = 0;
  for (const [, source] of ordered) totalBytes += await source.size();
  await ownDisk.makeFolders(folder);
  const lock = await ownDisk.lock(folder);
  try {
    await checkRoom(name, totalBytes - (await bytesIn(folder)));
    await ownDisk.removeFile(joinPath(folder, keptFile));
    const meter = new TransferMeter({ totalBytes });
    const kept: Record<string, { bytes: number; sha256: string }> = {};
    for (const [file, source] of ordered) kept[file] = await keepFile(source, { folder, file, meter, ...options });
    await ownDisk.createFile(joinPath(folder, keptFile), JSON.stringify({ name, files: kept } satisfies KeptModel));
  } catch (error) {
    throw error instanceof Error && error.name === 'QuotaExceededError' ? overQuota(`the model ${name}`, error) : error;
  } finally {
    await lock.release();
  }
}

interface Keeping extends KeepOptions {
  readonly folder: string;
  readonly file: string;
  readonly meter: TransferMeter;
}

async function keepFile(
  source: ByteSource,
  { folder, file, meter, onProgress, signal }: Keeping,
  disk: Disk = ownDisk,
): Promise<{ bytes: number; sha256: string }> {
  const [place, partial] = [joinPath(folder, file), joinPath(folder, partialPrefix + file)];
  const bytes = await source.size();
  if ((await disk.stat(place))?.kind === 'file') await disk.rename(place, partial);
  const digest = await createDigest('sha256', bytes);
  let held = (await disk.stat(partial))?.bytes ?? 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += piece) {
      signal?.throwIfAborted();
      const some = await source.read(at, Math.min(at + piece, bytes));
      digest.update(some);
      onProgress?.(meter.add(file, some.length));
      yield some;
    }
  }
  if (disk.appendsInPlace) {
    let at = 0;
    for await (const some of pieces()) {
      held = await agreed(some, { at, held, bytes, partial, disk });
      if (held < at + some.length) {
        await disk.append(partial, some.subarray(held - at));
        held = at + some.length;
      }
      at += some.length;
    }
    if (bytes === 0) await disk.createFile(partial, '');
  } else await disk.createFile(partial, pieces());
  await disk.rename(partial, place);
  return { bytes, sha256: digest.hex() };
}

/** How much of the partial file stays, when the source's bytes from `at` on are known. */
async function agreed(
  some: Uint8Array,
  { at, held, bytes, partial, disk }: { at: number; held: number; bytes: number; partial: string; disk: Disk },
): Promise<number> {
  if (held <= at) return at;
  const stored = await disk.read(partial, at, Math.min(held, at + some.length));
  if (held <= bytes && stored.every((value, index) => value === some[index])) return held;
  // Another file of that name: what came before this piece agreed, and is written again.
  const before = at === 0 ? new Uint8Array() : await disk.read(partial, 0, at);
  await disk.removeFile(partial);
  await disk.append(partial, before);
  return at;
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await ownDisk.list(folder)) bytes += (await ownDisk.stat(joinPath(folder, name)))?.bytes ?? 0;
  return bytes;
}

/** Better now than after minutes. */
async function checkRoom(name: string, needed: number): Promise<void> {
  const { freeBytes } = await storageState();
  if (freeBytes === undefined || needed <= freeBytes) return;
  throw overQuota(`the model ${name}`, new Error(`${needed} bytes to store, and room for ${freeBytes}`));
}
