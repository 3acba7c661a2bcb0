import { isLowrankError, LowrankError } from '@lowrank/errors';
import { backoff, isHopeless, networkReason, waiting, WaitFirst, withoutSecrets } from '@lowrank/safetensors';
import type { CachedBlob, ModelCache } from './cache.js';
import type { Checksum } from './hubDigest.js';
import { createDigest } from './hubDigest.js';
import { Receiver, WrongFile } from './receive.js';
import type { RemoteFile, Transfer } from './remoteFile.js';

/** How often in a row a download is tried again that brings nothing new, as in huggingface_hub. */
const retries = 5;

/**
 * Bytes beyond all earlier tries that make a try count as progress: a server that sends one byte and breaks off is not
 * asked for ever.
 */
const progressBytes = (size: number): number => Math.min(Math.max(16 * 1024, size / 10_000), size);

/**
 * Whether the cache holds the file with the right bytes. A blob that has changed since it was last checked is hashed; a
 * wrong one is reported, and removed.
 */
export async function isCached(
  file: Pick<RemoteFile, 'name' | 'size' | 'key' | 'checksum' | 'isUndated'>,
  cache: ModelCache,
  onWarning?: (text: string) => void,
): Promise<boolean> {
  if (file.isUndated === true) return false;
  const blob = await cache.blob(file.key);
  if (blob === undefined) return false;
  const fits = file.size === undefined || blob.size === file.size;
  if (fits && (await isRight(file.key, { blob, checksum: file.checksum, cache }))) return true;
  onWarning?.(`${file.name} in ${cache.name} is damaged, and downloaded again`);
  await cache.drop(file.key);
  return false;
}

/** What a file hashed to when it came. */
async function ownChecksum(key: string, cache: ModelCache): Promise<Checksum | undefined> {
  const hex = await cache.sum(key);
  return hex === undefined ? undefined : { kind: 'sha256', hex };
}

/** Whether a blob hashes to its checksum, the one it had when it came where it has no other. */
export async function isRight(
  key: string,
  { blob, checksum, cache }: { blob: CachedBlob; checksum: Checksum | undefined; cache: ModelCache },
): Promise<boolean> {
  if ((await cache.verified(key)) === blob.stamp) return true;
  const known = checksum ?? (await ownChecksum(key, cache));
  if (known === undefined) return true;
  const digest = await createDigest(known.kind, blob.size);
  for (let at = 0; at < blob.size; at += 1 << 20)
    digest.update(await blob.source.read(at, Math.min(at + (1 << 20), blob.size)));
  if (digest.hex() !== known.hex) return false;
  await cache.setVerified(key, blob.stamp);
  return true;
}

/**
 * Brings a file into the cache: goes on where an earlier download ended, tries again where a connection breaks off, and
 * compares size and checksum at the end. It ends: six tries in a row, or 40 s, without anything new are an error.
 * A file whose bytes are wrong is downloaded a second time, from its beginning; wrong again, it is an error.
 *
 * @throws LowrankError `models.download` (network), `models.checksum`, `models.cache` (a disk that refuses), and what
 * `transfer.refuse` makes
 */
export async function download(file: RemoteFile, cache: ModelCache, transfer: Transfer): Promise<void> {
  const { pause = waiting(transfer.signal), timing, signal } = transfer;
  const receiver = new Receiver(file, transfer);
  let wrong: WrongFile | undefined;
  let best = 0;
  let since = performance.now();
  for (let failures = 0; ;) {
    signal?.throwIfAborted();
    const partial = await cache.partial(file.key);
    // Another process may have brought it while this one waited.
    if (await isCached(file, cache)) {
      await partial.close();
      return;
    }
    let failure: unknown;
    let isWhole = false;
    best = Math.max(best, partial.size);
    try {
      await receiver.receive(partial);
      isWhole = true;
    } catch (error) {
      failure = error;
    } finally {
      await partial.close(isWhole);
    }
    if (isWhole) return finish(file, cache, receiver.ownSum);
    if (signal?.aborted === true) throw failure;
    if (failure instanceof WrongFile) {
      await cache.drop(file.key);
      if (wrong !== undefined) throw wrongBytes(file, failure);
      wrong = failure;
      transfer.onBytes(file, -partial.size);
      receiver.forget();
      transfer.onWarning?.(`${file.name} arrived damaged (${failure.message}), and is downloaded again`);
      continue;
    }
    if (isLowrankError(failure)) {
      // Nothing stays of a response that is not the model's file.
      if (partial.size > 0 && failure.code === 'models.download') await cache.drop(file.key);
      throw failure;
    }
    if (file.size !== undefined && partial.size >= best + progressBytes(file.size)) {
      failures = 0;
      since = performance.now();
    }
    best = Math.max(best, partial.size);
    failures += 1;
    const wait = failure instanceof WaitFirst ? failure.milliseconds : undefined;
    const isLate = performance.now() - since > timing.withoutProgress;
    if (failures > retries || isLate || (wait ?? 0) > timing.retryAfter || isHopeless(failure))
      throw brokenOff(file, failure, failures);
    await pause(failures, wait ?? backoff(failures));
    since += wait ?? 0;
  }
}

async function finish(file: RemoteFile, cache: ModelCache, sum: string | undefined): Promise<void> {
  await cache.finish(file.key);
  if (sum !== undefined) await cache.setSum(file.key, sum);
  const blob = await cache.blob(file.key);
  if (blob !== undefined) await cache.setVerified(file.key, blob.stamp);
}

function brokenOff(file: RemoteFile, cause: unknown, tries: number): LowrankError {
  return new LowrankError({
    code: 'models.download',
    what: file.shown,
    expected: file.size === undefined ? 'the file' : `${file.size} bytes`,
    got: `${withoutSecrets(networkReason(cause))}${tries > 1 ? `, after ${tries} tries that brought nothing new` : ''}`,
    remedy: 'Check the network and try again: what has arrived is kept, and the download goes on from there.',
    cause,
  });
}

function wrongBytes(file: RemoteFile, { message }: WrongFile): LowrankError {
  const size = file.size === undefined ? 'the file' : `${file.size} bytes`;
  return new LowrankError({
    code: 'models.checksum',
    what: file.shown,
    expected: file.checksum === undefined ? size : `${size} with the checksum ${file.checksum.hex.slice(0, 16)}…`,
    got: `others, twice (${message})`,
    remedy:
      'Something between the server and here changes the file; try another network or mirror. Nothing of it was kept.',
  });
}
