import { LowrankError } from '@lowrank/errors';

/** A value of the metadata as it is read. */
export type ReadValue = number | bigint | boolean | string | readonly string[] | readonly number[];

/** The piece in memory ends before the header does. */
class PieceEnd extends Error {}

/** The format's types of values (ggml/include/gguf.h), and the bytes of each; 0 for text and lists. */
const widths = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const [textType, listType] = [8, 9];

/** Reads a header's values one after another. Lengths are compared with the size of the file before they are used. */
export class HeaderCursor {
  readonly file: string;
  readonly fileBytes: number;
  position = 0;
  private readonly view: DataView;
  private readonly text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(
    private readonly bytes: Uint8Array,
    { file, fileBytes }: { readonly file: string; readonly fileBytes: number },
  ) {
    this.file = file;
    this.fileBytes = fileBytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The result of a function that reads; undefined where it came to the end of the piece. */
  within<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof PieceEnd) return undefined;
      throw error;
    }
  }

  raw(count: number): Uint8Array {
    const at = this.take(count);
    return this.bytes.subarray(at, at + count);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  /** A number of 64 bits up to 2^53. */
  u64(what: string): number {
    const value = this.view.getBigUint64(this.take(8), true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw this.refuse('count', what, 'a number below 2^53', String(value));
  }

  /** A number of things that take at least so many bytes each. */
  count(what: string, bytes: number): number {
    const value = this.u64(`${this.file}: ${what}`);
    const room = this.fileBytes - this.position;
    if (value * bytes <= room) return value;
    throw this.refuse(
      'count',
      `${this.file}: ${what}`,
      `as many as the ${room} bytes that follow can hold`,
      `${value}`,
    );
  }

  string(what: string): string {
    const bytes = this.raw(this.count(`${what}, its length`, 1));
    try {
      return this.text.decode(bytes);
    } catch {
      throw this.refuse('text', `${this.file}: ${what}`, 'UTF-8 text', 'bytes that are none');
    }
  }

  value(key: string): ReadValue {
    const type = this.u32();
    if (type === textType) return this.string(this.quote(key));
    if (type !== listType) return this.scalar(type, key);
    const element = this.u32();
    const what = `${this.quote(key)}, its length`;
    if (element === textType)
      return Array.from({ length: this.count(what, 8) }, () => this.string(`an entry of ${this.quote(key)}`));
    const width = widths[element] ?? 0;
    if (width === 0)
      throw this.refuse('value', this.where(key), 'a list of numbers or texts', `a list of type ${element}`);
    const length = this.count(what, width);
    // Within the piece, before a list of that length is made.
    if (this.position + length * width > this.bytes.length) throw new PieceEnd();
    return Array.from({ length }, () => Number(this.scalar(element, key)));
  }

  /** A name in quotes, for messages: hostile ones may be long. */
  quote(text: string): string {
    return JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}...` : text);
  }

  private where(key: string): string {
    return `${this.file}: ${this.quote(key)}`;
  }

  private scalar(type: number, key: string): number | bigint | boolean {
    const at = this.take(widths[type] ?? 0);
    const { view } = this;
    switch (type) {
      case 0:
        return view.getUint8(at);
      case 1:
        return view.getInt8(at);
      case 2:
        return view.getUint16(at, true);
      case 3:
        return view.getInt16(at, true);
      case 4:
        return view.getUint32(at, true);
      case 5:
        return view.getInt32(at, true);
      case 6:
        return view.getFloat32(at, true);
      case 7:
        return view.getUint8(at) !== 0;
      case 10:
        return asNumber(view.getBigUint64(at, true));
      case 11:
        return asNumber(view.getBigInt64(at, true));
      case 12:
        return view.getFloat64(at, true);
      default:
        throw this.refuse('value', this.where(key), 'a type of the format', `type ${type}`);
    }
  }

  private take(count: number): number {
    const at = this.position;
    if (at + count > this.bytes.length) throw new PieceEnd();
    this.position += count;
    return at;
  }

  private refuse(code: string, what: string, expected: string, got: string): LowrankError {
    return new LowrankError({
      code: `gguf.${code}`,
      what,
      expected,
      got,
      remedy: "The file is damaged or was not written by llama.cpp's libraries: download or convert it again.",
    });
  }
}

const asNumber = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value);
