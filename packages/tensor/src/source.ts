import { LowrankError } from '@lowrank/errors';
import type { HostArray } from './dtype.js';
import { bytesPerElement } from './dtype.js';
import type { DeviceBuffer, DeviceMemory } from './memory.js';
import { shapeError, showShape, sizeOf } from './shape.js';
import type { Spec } from './spec.js';

let nextId = 0;

/** Nodes are numbered as they are made: a node's inputs have lower numbers. */
export function nextNodeId(): number {
  return nextId++;
}

/** Persistent data: weights, optimizer state, caches. Lives on the host until a backend needs it, then on that backend alone. */
export class Source {
  readonly kind = 'source';
  readonly id = nextNodeId();
  private storage: { memory: DeviceMemory; buffer: DeviceBuffer } | undefined;
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

  /** The backend this data lives on, once it does. */
  get memory(): DeviceMemory | undefined {
    return this.storage?.memory;
  }

  /** The buffer on `memory`; the first call moves the data there and lets go of the host's copy. */
  on(memory: DeviceMemory): DeviceBuffer {
    this.check();
    if (this.storage === undefined) {
      const values = this.values();
      const buffer = memory.allocate(this.bytes, this.name);
      if (values !== undefined) memory.write(buffer, 0, values);
      this.host = undefined;
      this.storage = { memory, buffer };
    } else if (this.storage.memory !== memory) {
      throw new LowrankError({
        code: 'tensor.backend',
        what: `tensor ${this.name}`,
        expected: `data on ${memory.name}`,
        got: `data on ${this.storage.memory.name}`,
        remedy: 'Read it with data() and make a new tensor for the other backend.',
      });
    }
    return this.storage.buffer;
  }

  /** Replaces the data. Takes effect before any run that is asked for later. */
  write(data: HostArray): void {
    this.check();
    if (data.byteLength !== this.bytes) {
      throw shapeError(`write to tensor ${this.name}`, `${this.bytes} bytes for ${showShape(this.spec.shape)}`, `${data.byteLength} bytes`);
    }
    if (this.storage === undefined) this.host = data.slice();
    else this.storage.memory.write(this.storage.buffer, 0, data);
  }

  async read(offset = 0, bytes = this.bytes): Promise<ArrayBuffer> {
    this.check();
    if (this.storage !== undefined) return this.storage.memory.read(this.storage.buffer, offset, bytes);
    const values = this.values();
    if (values === undefined) return new ArrayBuffer(bytes);
    return values.slice().buffer.slice(offset, offset + bytes) as ArrayBuffer;
  }

  /** Frees the device memory and the host copy. Reading or running with it afterwards is an error. */
  dispose(): void {
    this.storage?.buffer.destroy();
    this.storage = undefined;
    this.host = undefined;
    this.disposed = true;
  }

  private values(): HostArray | undefined {
    if (typeof this.host === 'function') {
      const made = this.host();
      if (made.byteLength !== this.bytes) throw shapeError(`the values of tensor ${this.name}`, `${this.bytes} bytes for ${showShape(this.spec.shape)}`, `${made.byteLength} bytes`);
      this.host = made;
    }
    return this.host;
  }

  private check(): void {
    if (!this.disposed) return;
    throw new LowrankError({ code: 'tensor.disposed', what: `tensor ${this.name}`, expected: 'a live tensor', got: 'a disposed one' });
  }
}
