import { LowrankError, parseJson } from '@lowrank/errors';
import { isWebPage } from '@lowrank/safetensors';
import type { RemoteFile } from './remoteFile.js';
import { largestCompanion } from './neededFiles.js';

/** No header of a safetensors file is longer. */
const largestHeader = 100_000_000;
/** Enough bytes to recognize a web page or a Git LFS pointer. */
const enough = 512;

/**
 * Looks at the bytes of a file while they arrive, from its beginning on: a web page or a pointer is no file of a model,
 * and the header of a safetensors file says how long the file is, where a server does not.
 */
export class ArrivingFile {
  private head = new Uint8Array(0);
  private received = 0;
  private isKnown = false;
  /** Of a safetensors file, from its own header. */
  private ownLength: number | undefined;

  constructor(
    private readonly file: RemoteFile,
    private readonly contentType: string | null,
  ) {}

  /** @throws LowrankError `models.download` */
  add(bytes: Uint8Array): void {
    this.received += bytes.length;
    if (!this.isKnown || this.wantsHeader) this.head = joined(this.head, bytes);
    if (!this.isKnown && this.received >= enough) this.recognize();
    if (this.isKnown) this.readHeader();
    if (this.received > this.limit) throw this.refusal(`at most ${this.limit} bytes`, 'more');
  }

  /** Why what arrived is not the whole file; undefined where it is, as far as one can know. */
  end(): string | undefined {
    if (!this.isKnown) this.recognize();
    this.readHeader();
    if (this.file.size !== undefined || !this.file.name.endsWith('.safetensors')) return undefined;
    if (this.ownLength === undefined) return `${this.received} bytes, which end within the header`;
    return this.ownLength === this.received
      ? undefined
      : `${this.received} bytes, and its header says ${this.ownLength}`;
  }

  private get wantsHeader(): boolean {
    return this.file.size === undefined && this.file.name.endsWith('.safetensors') && this.ownLength === undefined;
  }

  /** Bytes after which nobody reads on. */
  private get limit(): number {
    if (!this.file.name.endsWith('.safetensors')) return largestCompanion;
    if (this.file.size !== undefined) return Infinity;
    return this.ownLength ?? largestHeader + 8;
  }

  private recognize(): void {
    this.isKnown = true;
    if (isWebPage(this.head, this.contentType))
      throw this.refusal(
        'the file',
        'a web page: a login, a notice of this network, or the start page of an application',
      );
    if (new TextDecoder().decode(this.head.subarray(0, 64)).startsWith('version https://git-lfs.github.com/spec/'))
      throw this.refusal('the file', 'a pointer of Git LFS, whose file was never uploaded there');
  }

  private readHeader(): void {
    if (!this.wantsHeader) {
      this.head = new Uint8Array(0);
      return;
    }
    if (this.head.length < 8) return;
    const length = new DataView(this.head.buffer, this.head.byteOffset).getBigUint64(0, true);
    if (length > BigInt(largestHeader)) throw this.refusal('a safetensors file', 'other bytes');
    const end = 8 + Number(length);
    if (this.head.length < end) return;
    try {
      this.ownLength = end + dataLength(parseJson(new TextDecoder().decode(this.head.subarray(8, end))));
    } catch {
      throw this.refusal('a safetensors file', 'one whose header is no JSON');
    }
  }

  private refusal(expected: string, got: string): LowrankError {
    return new LowrankError({
      code: 'models.download',
      what: this.file.shown,
      expected,
      got,
      remedy: 'Open the address in a browser to see what the server sends. Nothing of it was kept.',
    });
  }
}

/** Where the last tensor ends. What else is wrong with a header is reported when the file is opened. */
function dataLength(header: unknown): number {
  let end = 0;
  for (const tensor of Object.values(header ?? {}) as unknown[]) {
    if (typeof tensor !== 'object' || tensor === null || !('data_offsets' in tensor)) continue;
    const offsets = tensor.data_offsets;
    const last: unknown = Array.isArray(offsets) ? offsets[1] : undefined;
    if (typeof last === 'number' && Number.isSafeInteger(last)) end = Math.max(end, last);
  }
  return end;
}

/** Grows by doubling where it must: a header may have many pieces. */
function joined(head: Uint8Array<ArrayBuffer>, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const room = head.buffer.byteLength - head.byteLength;
  const length = head.length + bytes.length;
  const whole =
    room >= bytes.length
      ? new Uint8Array(head.buffer, 0, length)
      : new Uint8Array(new ArrayBuffer(2 * length), 0, length);
  if (whole.buffer !== head.buffer) whole.set(head);
  whole.set(bytes, head.length);
  return whole;
}
