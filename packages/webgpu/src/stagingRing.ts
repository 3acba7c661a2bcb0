import { BufferUsage } from './constants.js';
import type { WebgpuDevice } from './device.js';
import { mapForReading, roundUp } from './buffers.js';

/** A value to copy out: where it lies in GPU memory. */
export interface Readable {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

const smallBytes = 1 << 20;

/**
 * Staging buffers made once and used in turn, so that results reach the host without a buffer per step. A run that
 * finds all slots on their way back waits for the first: that is the back-pressure.
 */
export class StagingRing {
  readonly #device: WebgpuDevice;
  readonly #size: number;
  readonly #slots: number;
  #free: GPUBuffer[] = [];
  #all: GPUBuffer[] = [];
  #waiting: (() => void)[] = [];

  /**
   * Room for `outputs` at once. Small results get several slots right away; large ones get a single slot when first
   * read.
   */
  constructor(device: WebgpuDevice, outputs: readonly { readonly bytes: number }[]) {
    this.#device = device;
    this.#size = outputs.reduce((total, { bytes }) => total + roundUp(bytes, 16), 0);
    const small = this.#size <= smallBytes;
    this.#slots = small ? 4 : 1;
    if (small && this.#size > 0) while (this.#all.length < this.#slots) this.#make();
  }

  #make(): void {
    const slot = this.#device.gpu.createBuffer({
      label: 'staging',
      size: this.#size,
      usage: BufferUsage.mapRead | BufferUsage.copyDst,
    });
    this.#all.push(slot);
    this.#free.push(slot);
  }

  /** A free slot, after waiting for one if need be. */
  async take(): Promise<GPUBuffer> {
    for (;;) {
      const slot = this.#free.pop();
      if (slot !== undefined) return slot;
      if (this.#all.length < this.#slots) this.#make();
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Encodes the copies of `values` into a slot. */
  copy(encoder: GPUCommandEncoder, slot: GPUBuffer, values: readonly Readable[]): void {
    let at = 0;
    for (const { buffer, offset, bytes } of values) {
      encoder.copyBufferToBuffer(buffer, offset, slot, at, roundUp(bytes, 4));
      at += roundUp(bytes, 16);
    }
  }

  /** Maps a submitted slot, copies the values to the host and gives the slot back. */
  async read(slot: GPUBuffer, values: readonly Readable[]): Promise<ArrayBuffer[]> {
    try {
      await mapForReading(this.#device, slot);
      let at = 0;
      const results = values.map(({ bytes }) => {
        const result = slot.getMappedRange(at, roundUp(Math.max(bytes, 4), 4)).slice(0, bytes);
        at += roundUp(bytes, 16);
        return result;
      });
      slot.unmap();
      return results;
    } finally {
      this.#free.push(slot);
      this.#waiting.shift()?.();
    }
  }

  destroy(): void {
    for (const slot of this.#all) slot.destroy();
    this.#all = [];
    this.#free = [];
  }
}
