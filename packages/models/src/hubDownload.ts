import { isLowrankError, LowrankError } from '@lowrank/errors';
import type { CachedBlob, ModelCache, PartialBlob } from './cache.js';
import type { Checksum, Digest } from './hubDigest.js';
import { createDigest } from './hubDigest.js';

/** A file that can be downloaded. */
export interface RemoteFile {
  readonly name: string;
  readonly url: string;
  readonly size: number;
  /** Names its content in the cache. */
  readonly key: string;
  readonly checksum?: Checksum | undefined;
  /** A validator for a download that goes on: the server then sends the rest only of the same file. */
  readonly etag?: string | undefined;
}

export interface Transfer {
  /** Sends a request, with whatever credentials it needs; resolves whatever the status. */
  readonly send: (url: string, init: RequestInit) => Promise<Response>;
  /** An error for a response that is none of the file. */
  readonly refuse: (response: Response, file: RemoteFile) => LowrankError;
  /** Bytes that came; negative where they have to come again. */
  readonly onBytes: (file: RemoteFile, count: number) => void;
  readonly onWarning?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A connection that brings nothing for so long is given up and made anew. Default 30 s. */
  readonly stallMilliseconds?: number;
  /** How often in a row a connection may break off without a byte in between. Default 5. */
  readonly retries?: number;
  /** Before the n-th try in a row; by default half a second, doubled each time. */
  readonly pause?: (attempt: number) => Promise<void>;
}

/**
 * Whether the cache holds the file with the right bytes. A blob that has changed since it was last checked is hashed; a
 * wrong one is reported and removed.
 */
export async function isCached(
  file: Pick<RemoteFile, 'name' | 'size' | 'key' | 'checksum'>,
  cache: ModelCache,
  onWarning?: (text: string) => void,
): Promise<boolean> {
  const blob = await cache.blob(file.key);
  if (blob === undefined) return false;
  if (blob.size === file.size && (await isRight(file.key, { blob, checksum: file.checksum, cache }))) return true;
  onWarning?.(`${file.name} in ${cache.name} is damaged, and downloaded again`);
  await cache.drop(file.key);
  return false;
}

/** Whether a blob hashes to its checksum, as far as it has one. */
export async function isRight(
  key: string,
  { blob, checksum, cache }: { blob: CachedBlob; checksum: Checksum | undefined; cache: ModelCache },
): Promise<boolean> {
  if (checksum === undefined || (await cache.verified(key)) === blob.stamp) return true;
  const digest = await createDigest(checksum.kind, blob.size);
  for (let at = 0; at < blob.size; at += 1 << 20)
    digest.update(await blob.source.read(at, Math.min(at + (1 << 20), blob.size)));
  if (digest.hex() !== checksum.hex) return false;
  await cache.setVerified(key, blob.stamp);
  return true;
}

/**
 * Brings a file into the cache: goes on where an earlier download ended, tries again where a connection breaks off, and
 * compares size and checksum at the end. A file whose bytes are wrong is downloaded a second time, from its beginning;
 * wrong again, it is an error.
 *
 * @throws LowrankError `models.download` (network), `models.checksum`, and what `transfer.refuse` makes
 */
export async function download(file: RemoteFile, cache: ModelCache, transfer: Transfer): Promise<void> {
  const { retries = 5, pause = (attempt) => new Promise((resolve) => void setTimeout(resolve, 250 * 2 ** attempt)) } =
    transfer;
  const received: Received = { digest: undefined, bytes: 0 };
  let damaged = false;
  for (let failures = 0; ;) {
    transfer.signal?.throwIfAborted();
    const partial = await cache.partial(file.key);
    // Another process may have brought it while this one waited.
    if (await isCached(file, cache)) {
      await partial.close();
      return;
    }
    let broken: unknown;
    let progress = 0;
    try {
      progress = -partial.size;
      await receive({ file, partial, received, transfer });
    } catch (error) {
      if (isLowrankError(error) || transfer.signal?.aborted === true) throw error;
      broken = error;
    } finally {
      progress += partial.size;
      await partial.close();
    }
    if (broken !== undefined) {
      failures = progress > 0 ? 1 : failures + 1;
      if (failures > retries) throw brokenOff(file, broken);
      await pause(failures);
    } else if (
      partial.size === file.size &&
      (file.checksum === undefined || received.digest?.hex() === file.checksum.hex)
    ) {
      await cache.finish(file.key);
      const blob = await cache.blob(file.key);
      if (blob !== undefined) await cache.setVerified(file.key, blob.stamp);
      return;
    } else {
      await cache.drop(file.key);
      if (damaged) throw wrongBytes(file);
      damaged = true;
      received.digest = undefined;
      transfer.onBytes(file, -partial.size);
      transfer.onWarning?.(`${file.name} arrived damaged, and is downloaded again`);
    }
  }
}

/** What has been hashed of a download, over all its connections. */
interface Received {
  digest: Digest | undefined;
  bytes: number;
}

interface Receive {
  readonly file: RemoteFile;
  readonly partial: PartialBlob;
  readonly received: Received;
  readonly transfer: Transfer;
}

async function receive({ file, partial, received, transfer }: Receive): Promise<void> {
  const restart = async (): Promise<void> => {
    transfer.onBytes(file, -partial.size);
    await partial.clear();
    received.digest = await createDigest(file.checksum?.kind ?? 'sha256', file.size);
    received.bytes = 0;
  };
  const keep = (bytes: Uint8Array): void => {
    received.digest?.update(bytes);
    received.bytes += bytes.length;
  };
  if (partial.size > file.size || partial.size === 0) await restart();
  else if (received.digest === undefined || received.bytes !== partial.size) {
    received.digest = await createDigest(file.checksum?.kind ?? 'sha256', file.size);
    received.bytes = 0;
    for await (const bytes of partial.read()) keep(bytes);
  }
  if (partial.size === file.size) return;
  const stall = stallWatch(transfer);
  try {
    const headers = new Headers(
      partial.size === 0
        ? {}
        : { Range: `bytes=${partial.size}-`, ...(file.etag === undefined ? {} : { 'If-Range': file.etag }) },
    );
    const response = await transfer.send(file.url, { headers, signal: stall.signal });
    if (response.status === 429 || response.status >= 500)
      throw new Error(`${response.status} ${response.statusText}`.trim());
    if (response.status === 416 || (response.status === 200 && partial.size > 0)) await restart();
    if (response.status === 416) throw new Error('the server has no such range');
    if (!response.ok || response.body === null) throw transfer.refuse(response, file);
    for await (const bytes of chunksOf(response.body)) {
      stall.alive();
      await partial.append(bytes);
      keep(bytes);
      transfer.onBytes(file, bytes.length);
      if (partial.size > file.size) return;
    }
    if (partial.size < file.size) throw new Error(`the connection ended ${file.size - partial.size} bytes early`);
  } finally {
    stall.end();
  }
}

/** A signal that fires with the caller's own, or when nothing was alive for a while. */
function stallWatch({ signal, stallMilliseconds = 30_000 }: Transfer): {
  signal: AbortSignal;
  alive(): void;
  end(): void;
} {
  const controller = new AbortController();
  const give = (): void => controller.abort(new Error(`nothing came for ${stallMilliseconds / 1000} s`));
  const forward = (): void => controller.abort(signal?.reason);
  let timer = setTimeout(give, stallMilliseconds);
  signal?.addEventListener('abort', forward);
  if (signal?.aborted === true) forward();
  return {
    signal: controller.signal,
    alive() {
      clearTimeout(timer);
      timer = setTimeout(give, stallMilliseconds);
    },
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', forward);
    },
  };
}

/** A body's chunks; not every browser iterates one. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function brokenOff(file: RemoteFile, cause: unknown): LowrankError {
  return new LowrankError({
    code: 'models.download',
    what: file.url,
    expected: `${file.size} bytes`,
    got: reason(cause),
    remedy: 'Check the network and try again: what has arrived is kept, and the download goes on from there.',
    cause,
  });
}

function wrongBytes(file: RemoteFile): LowrankError {
  return new LowrankError({
    code: 'models.checksum',
    what: file.url,
    expected:
      `${file.size} ` +
      `bytes${file.checksum === undefined ? '' : ` with the checksum ${file.checksum.hex.slice(0, 16)}…`}`,
    got: 'others, twice',
    remedy:
      'Something between the server and here changes the file; try another network or mirror. Nothing of it was kept.',
  });
}

/** The cause of a failed fetch: its own message is only "fetch failed". */
export function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error && cause.cause.message !== '' ? cause.cause.message : cause.message;
}
