import type { HostArray } from './dtype.js';
import type { RowLimits } from './rowPieces.js';

/** The memory of a backend: all of it that a persistent tensor needs to know. */
export interface DeviceMemory {
  /** 'cpu', 'webgpu', … */
  readonly name: string;
  /** A tensor beyond these lies in several buffers. */
  readonly spec: RowLimits;
  /** Zero-filled. Throws a typed out-of-memory error (at the latest at the next run). */
  allocate(bytes: number, label: string): DeviceBuffer;
  /**
   * Copies in before any later work. Offset and length are multiples of 4 on every backend but for
   * the last bytes of a buffer.
   */
  write(buffer: DeviceBuffer, offset: number, data: HostArray): void;
  /** Reads after all earlier work. */
  read(buffer: DeviceBuffer, offset: number, bytes: number): Promise<ArrayBuffer>;
}

/** Memory of a backend. */
export interface DeviceBuffer {
  readonly bytes: number;
  destroy(): void;
}
