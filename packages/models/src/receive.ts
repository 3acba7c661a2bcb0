import { isLowrankError, LowrankError } from '@lowrank/errors';
import {
  chunksOf,
  contentLength,
  contentRange,
  isBusy,
  isEncoded,
  Patience,
  retryAfter,
  statusOf,
  WaitFirst,
} from '@lowrank/safetensors';
import type { PartialBlob } from './cache.js';
import { ArrivingFile } from './fileContent.js';
import type { RemoteFile, Transfer } from './remoteFile.js';
import type { Digest } from './hubDigest.js';
import { createDigest } from './hubDigest.js';

/** What came is not the file that was listed. */
export class WrongFile extends Error {}

/** Brings bytes of one file, over any number of connections, and keeps its hash along the way. */
export class Receiver {
  private digest: Digest | undefined;
  private hashed = 0;

  constructor(
    private readonly file: RemoteFile,
    private readonly transfer: Transfer,
  ) {}

  /** The SHA-256 of a whole file that nobody has said one of. */
  get ownSum(): string | undefined {
    return this.file.checksum === undefined ? this.digest?.hex() : undefined;
  }

  /** Drops the hash so far: the file starts over. */
  forget(): void {
    [this.digest, this.hashed] = [undefined, 0];
  }

  /**
   * One connection. Resolves when the partial blob is the whole file with the right bytes.
   *
   * @throws WrongFile, WaitFirst, LowrankError for what no further try mends; any other error is a connection that
   * broke
   */
  async receive(partial: PartialBlob): Promise<void> {
    const { file } = this;
    // A file of unknown length could grow beyond its end, and one without a date be another by now.
    const isOwn = this.digest !== undefined && this.hashed === partial.size;
    const goesOn = file.size !== undefined && partial.size <= file.size && (file.isUndated !== true || isOwn);
    if (partial.size === 0 || !goesOn) await this.restart(partial);
    else await this.hashKept(partial);
    if (partial.size !== file.size) await this.connect(partial);
    if (file.size !== undefined && partial.size !== file.size)
      throw new Error(`the connection ended ${file.size - partial.size} bytes early`);
    if (file.checksum !== undefined && this.digest?.hex() !== file.checksum.hex) {
      throw new WrongFile('other bytes');
    }
  }

  private async connect(partial: PartialBlob): Promise<void> {
    const { file, transfer } = this;
    const { timing, signal } = transfer;
    const patience = new Patience({ signal, milliseconds: timing.answer, what: 'no answer' });
    try {
      const response = await patience.race(
        transfer.send(file.url, { headers: rangeHeaders(file, partial.size), signal: patience.signal }),
      );
      patience.expect({ milliseconds: timing.stall, what: 'nothing more came' });
      await this.take(response, partial, patience);
    } finally {
      patience.end();
    }
  }

  private async take(response: Response, partial: PartialBlob, patience: Patience): Promise<void> {
    const { file, transfer } = this;
    const stop = <Failure extends Error>(failure: Failure): Failure => {
      void response.body?.cancel().catch(() => undefined);
      return failure;
    };
    if (isBusy(response.status)) throw stop(new WaitFirst(statusOf(response), retryAfter(response)));
    if (response.status === 416) {
      await this.restart(partial);
      throw stop(new Error('the server has no such range'));
    }
    if (!response.ok || response.body === null) throw stop(transfer.refuse(response, file));
    const range = response.status === 206 ? contentRange(response) : { start: 0, total: lengthOf(response) };
    const isOther = range !== undefined && range.start !== partial.size;
    if (partial.size > 0 && (isOther || isEncoded(response))) await this.restart(partial);
    if (range !== undefined && range.start !== partial.size)
      throw stop(new Error(`the server sends bytes from ${range.start} on, not those that were asked for`));
    if (response.status === 206 && isEncoded(response)) throw stop(new Error('a part of a compressed file'));
    if (range?.total !== undefined && file.size !== undefined && range.total !== file.size)
      throw stop(new WrongFile(`the server sends a file of ${range.total} bytes, and listed one of ${file.size}`));
    const content = partial.size === 0 ? new ArrivingFile(file, response.headers.get('Content-Type')) : undefined;
    for await (const bytes of chunksOf(response.body, patience)) {
      content?.add(bytes);
      await this.write(partial, bytes);
      transfer.onBytes(file, bytes.length);
      if (file.size !== undefined && partial.size > file.size) throw new WrongFile(`more than ${file.size} bytes`);
    }
    const missing = content?.end() ?? (file.size === undefined ? await jsonEnd(file, partial) : undefined);
    if (missing !== undefined) throw new WrongFile(missing);
  }

  /** A disk that refuses is no network that broke. */
  private async write(partial: PartialBlob, bytes: Uint8Array): Promise<void> {
    try {
      await partial.append(bytes);
    } catch (cause) {
      if (isLowrankError(cause)) throw cause;
      throw new LowrankError({
        code: 'models.cache',
        what: `the cache, while ${this.file.name} is downloaded`,
        expected: 'a disk with room for it',
        got: cause instanceof Error ? cause.message : String(cause),
        remedy: 'Make room, or set HF_HOME to a folder on another disk.',
        cause,
      });
    }
    this.keep(bytes);
  }

  private async restart(partial: PartialBlob): Promise<void> {
    this.transfer.onBytes(this.file, -partial.size);
    await partial.clear();
    await this.newDigest();
  }

  /** Hashes what an earlier download left, unless that is what this one has hashed. */
  private async hashKept(partial: PartialBlob): Promise<void> {
    if (this.digest !== undefined && this.hashed === partial.size) return;
    await this.newDigest();
    for await (const bytes of partial.read()) this.keep(bytes);
  }

  private async newDigest(): Promise<void> {
    this.digest = await createDigest(this.file.checksum?.kind ?? 'sha256', this.file.size ?? 0);
    this.hashed = 0;
  }

  private keep(bytes: Uint8Array): void {
    this.digest?.update(bytes);
    this.hashed += bytes.length;
  }
}

/** Why a file of unknown length is not all there: JSON that stops in the middle. */
async function jsonEnd(file: RemoteFile, partial: PartialBlob): Promise<string | undefined> {
  if (!file.name.endsWith('.json')) return undefined;
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of partial.read()) text += decoder.decode(bytes, { stream: true });
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    return `${partial.size} bytes that are no JSON, or not all of it`;
  }
}

/** Compressed bytes can be neither counted nor continued: none are asked for (browsers leave this header out). */
function rangeHeaders(file: RemoteFile, from: number): Headers {
  const headers = new Headers({ 'Accept-Encoding': 'identity' });
  if (from === 0) return headers;
  headers.set('Range', `bytes=${from}-`);
  if (file.etag !== undefined) headers.set('If-Range', file.etag);
  return headers;
}

/** Across origins a browser hides whether a body is compressed, and its length with it. */
const lengthOf = (response: Response): number | undefined =>
  response.type === 'cors' ? undefined : contentLength(response);
