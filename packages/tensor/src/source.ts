import { LowrankError } from '@lowrank/errors';
import type { HostArray } from './dtype.js';
import { bytesPerElement, hostArray } from './dtype.js';
import type { DeviceBuffer, DeviceMemory } from './memory.js';
import type { RowLimits, RowPiece } from './rowPieces.js';
import { isLarge, rowPieces } from './rowPieces.js';
import { shapeError, showShape, sizeOf } from './shape.js';
import type { Spec } from './spec.js';

let nextId = 0;

/** Nodes are numbered as they are made: a node's inputs have lower numbers. */
export function nextNodeId(): number {
  return nextId++;
}

/** A run of a source's bytes in a buffer of its own. */
interface Stored {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Persistent data: weights, optimizer state, caches. Lives on the host until a backend needs it, then on that backend
 * alone: in one buffer, or, where it is larger than one binding there, in several of whole rows.
 */
export class Source {
  readonly kind = 'source';
  readonly id = nextNodeId();
  private storage: { readonly memory: DeviceMemory; readonly parts: readonly Stored[] } | undefined;
  private readonly pieces = new Map<string, SourcePiece>();
  private disposed = false;

  constructor(
    readonly spec: Spec,
    /** Given, to be made when first needed, or zeros. */
    private host: HostArray | (() => HostArray) | undefined,
    readonly name: string,
  ) {}

  get bytes(): number {
    return sizeOf(this.spec.shape) * bytesPerElement(this.spec.dtype);
  }

  /** Whether it holds nothing yet: zeros that cost no memory, as in a model without weights. */
  get isEmpty(): boolean {
    return this.host === undefined && this.storage === undefined;
  }

  /** The backend this data lives on, once it does. */
  get memory(): DeviceMemory | undefined {
    return this.storage?.memory;
  }

  /**
   * The buffer on `memory`, or that of one of its pieces; the first call moves all of the data there and lets go of the
   * host's copy.
   */
  on(memory: DeviceMemory, piece = 0): DeviceBuffer {
    this.check();
    this.storage ??= this.move(memory);
    if (this.storage.memory !== memory) {
      throw new LowrankError({
        code: 'tensor.backend',
        what: `tensor ${this.name}`,
        expected: `data on ${memory.name}`,
        got: `data on ${this.storage.memory.name}`,
        remedy: 'Read it with readTensor() and make a new tensor for the other backend.',
      });
    }
    const part = this.storage.parts[piece];
    if (part === undefined)
      throw new TypeError(`piece ${piece} of ${this.storage.parts.length} of tensor ${this.name}`);
    return part.buffer;
  }

  /** The pieces in which it lies on memory of these limits; undefined where one buffer holds it. */
  piecesOn(limits: RowLimits): readonly SourcePiece[] | undefined {
    return this.cuts(limits)?.map((cut, index) => {
      const key = `${index}:${cut.start}+${cut.rows}`;
      const known = this.pieces.get(key) ?? new SourcePiece(this, index, cut);
      this.pieces.set(key, known);
      return known;
    });
  }

  /**
   * Replaces the data; with `offset`, a multiple of 4, only the bytes from there on that `data` covers. Takes effect
   * before any later run.
   *
   * @throws LowrankError `tensor.shape`
   */
  write(data: HostArray, offset?: number): void {
    this.check();
    const fits =
      offset === undefined
        ? data.byteLength === this.bytes
        : offset >= 0 && offset % 4 === 0 && data.byteLength % 4 === 0 && offset + data.byteLength <= this.bytes;
    if (!fits) {
      throw shapeError(
        `write to tensor ${this.name}`,
        `${offset === undefined ? '' : 'whole words within '}${this.bytes} bytes for ${showShape(this.spec.shape)}`,
        `${data.byteLength} bytes${offset === undefined ? '' : ` from byte ${offset} on`}`,
      );
    }
    if (this.storage !== undefined)
      for (const part of this.storage.parts) writePart(this.storage.memory, part, { data, start: offset ?? 0 });
    else if (offset === undefined) this.host = data.slice();
    else this.writeHost(data, offset);
  }

  async read(offset = 0, bytes = this.bytes): Promise<ArrayBuffer> {
    this.check();
    if (this.storage !== undefined) return readParts(this.storage, offset, bytes);
    const values = this.values();
    if (values === undefined) return new ArrayBuffer(bytes);
    return values.slice().buffer.slice(offset, offset + bytes) as ArrayBuffer;
  }

  /** Frees the device memory and the host copy. Reading or running with it afterwards is an error. */
  dispose(): void {
    this.storage?.parts.forEach(({ buffer }) => buffer.destroy());
    this.storage = undefined;
    this.host = undefined;
    this.disposed = true;
  }

  private writeHost(data: HostArray, offset: number): void {
    const whole = this.values()?.slice() ?? hostArray(this.spec.dtype, sizeOf(this.spec.shape));
    new Uint8Array(whole.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    this.host = whole;
  }

  private move(memory: DeviceMemory): { memory: DeviceMemory; parts: readonly Stored[] } {
    const values = this.values();
    const rowBytes = sizeOf(this.spec.shape.slice(1)) * bytesPerElement(this.spec.dtype);
    const cuts = this.cuts(memory.spec)?.map(({ start, rows }) => ({
      offset: start * rowBytes,
      bytes: rows * rowBytes,
    }));
    const parts = (cuts ?? [{ offset: 0, bytes: this.bytes }]).map(({ offset, bytes }, at): Stored => {
      const part = {
        offset,
        bytes,
        buffer: memory.allocate(bytes, cuts === undefined ? this.name : `${this.name}, part ${at + 1}`),
      };
      if (values !== undefined) writePart(memory, part, { data: values, start: 0 });
      return part;
    });
    this.host = undefined;
    return { memory, parts };
  }

  private cuts(limits: RowLimits): readonly RowPiece[] | undefined {
    return isLarge(this.spec, limits) ? rowPieces(this.spec, limits) : undefined;
  }

  private values(): HostArray | undefined {
    if (typeof this.host === 'function') {
      const made = this.host();
      if (made.byteLength !== this.bytes)
        throw shapeError(
          `the values of tensor ${this.name}`,
          `${this.bytes} bytes for ${showShape(this.spec.shape)}`,
          `${made.byteLength} bytes`,
        );
      this.host = made;
    }
    return this.host;
  }

  private check(): void {
    if (!this.disposed) return;
    throw new LowrankError({
      code: 'tensor.disposed',
      what: `tensor ${this.name}`,
      expected: 'a live tensor',
      got: 'a disposed one',
    });
  }
}

/** Some rows of a source, in a buffer of their own. */
export class SourcePiece {
  readonly kind = 'source';
  readonly spec: Spec;
  readonly name: string;

  constructor(
    readonly source: Source,
    private readonly index: number,
    { start, rows }: RowPiece,
  ) {
    this.spec = { shape: [rows, ...source.spec.shape.slice(1)], dtype: source.spec.dtype };
    this.name = `${source.name}, rows ${start} to ${start + rows}`;
  }

  get bytes(): number {
    return sizeOf(this.spec.shape) * bytesPerElement(this.spec.dtype);
  }

  on(memory: DeviceMemory): DeviceBuffer {
    return this.source.on(memory, this.index);
  }

  /** Frees the whole source. */
  dispose(): void {
    this.source.dispose();
  }
}

/** Of data that lies from byte `start` of the source on, what this part holds. */
function writePart(
  memory: DeviceMemory,
  { buffer, offset, bytes }: Stored,
  { data, start }: { data: HostArray; start: number },
): void {
  const [from, to] = [Math.max(start, offset), Math.min(start + data.byteLength, offset + bytes)];
  if (from >= to) return;
  const whole = from === start && to === start + data.byteLength;
  memory.write(
    buffer,
    from - offset,
    whole ? data : new Uint8Array(data.buffer, data.byteOffset + from - start, to - from),
  );
}

async function readParts(
  { memory, parts }: { readonly memory: DeviceMemory; readonly parts: readonly Stored[] },
  offset: number,
  bytes: number,
): Promise<ArrayBuffer> {
  const end = offset + bytes;
  const wanted = parts.filter((part) => part.offset < end && offset < part.offset + part.bytes);
  const [only] = wanted;
  if (only !== undefined && wanted.length === 1) return memory.read(only.buffer, offset - only.offset, bytes);
  const result = new Uint8Array(bytes);
  for (const part of wanted) {
    const [from, to] = [Math.max(offset, part.offset), Math.min(end, part.offset + part.bytes)];
    result.set(new Uint8Array(await memory.read(part.buffer, from - part.offset, to - from)), from - offset);
  }
  return result.buffer;
}
