import { LowrankError } from '@lowrank/errors';
import type { HostArray } from '@lowrank/tensor';
import type { DeviceBuffer, MemoryReport } from '@lowrank/tensor/backend';
import { BufferUsage, MapMode } from './constants.js';
import type { WebgpuDevice } from './device.js';
import { unsupportedShape } from './gpuErrors.js';

/** GPU memory handed to the compiler. `bytes` is what was asked for; the GPU buffer is rounded up to whole words. */
export class WebgpuBuffer implements DeviceBuffer {
  constructor(
    readonly gpu: GPUBuffer,
    readonly bytes: number,
    readonly onDestroy: () => void,
  ) {}

  #live = true;

  destroy(): void {
    if (!this.#live) return;
    this.#live = false;
    this.gpu.destroy();
    this.onDestroy();
  }
}

/** Allocation, upload and readback of buffers, with the account of what is live. */
export class BufferStore {
  readonly #device: WebgpuDevice;
  #buffers = 0;
  #bytes = 0;
  #peakBytes = 0;

  constructor(device: WebgpuDevice) {
    this.#device = device;
  }

  get report(): MemoryReport {
    return { buffers: this.#buffers, bytes: this.#bytes, peakBytes: this.#peakBytes };
  }

  /**
   * Zero-filled, as WebGPU promises. Running out of memory is reported by the error scope around the creation, at the
   * next run or read.
   */
  allocate(bytes: number, label: string): WebgpuBuffer {
    this.#device.check();
    const size = Math.max(4, roundUp(bytes, 4));
    const limit = this.#device.limits.maxBufferSize;
    if (size > limit) throw unsupportedShape({ op: `buffer ${label}`, bytes: size, limit, limitName: 'maxBufferSize' });
    const gpu = this.#device.gpu.createBuffer({
      label,
      size,
      usage: BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst,
    });
    this.#buffers++;
    this.#bytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return new WebgpuBuffer(gpu, bytes, () => {
      this.#buffers--;
      this.#bytes -= size;
    });
  }

  write(buffer: DeviceBuffer, offset: number, data: HostArray): void {
    this.#device.check();
    upload(this.#device.gpu, own(buffer).gpu, offset, data);
  }

  async read(buffer: DeviceBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.#device.check();
    await this.#device.errors.settle();
    const { gpu } = this.#device;
    const start = offset - (offset % 4);
    const size = roundUp(offset + bytes, 4) - start;
    if (size === 0) return new ArrayBuffer(0);
    const staging = gpu.createBuffer({ label: 'read', size, usage: BufferUsage.mapRead | BufferUsage.copyDst });
    try {
      const encoder = gpu.createCommandEncoder({ label: 'read' });
      encoder.copyBufferToBuffer(own(buffer).gpu, start, staging, 0, size);
      gpu.queue.submit([encoder.finish()]);
      await mapForReading(this.#device, staging);
      return staging.getMappedRange(0, size).slice(offset - start, offset - start + bytes);
    } finally {
      staging.destroy();
    }
  }
}

/** mapAsync with the device's own story when it fails. */
export async function mapForReading(device: WebgpuDevice, staging: GPUBuffer): Promise<void> {
  try {
    await staging.mapAsync(MapMode.read);
  } catch (cause) {
    // A lost device gives its reason a little after its buffers fail.
    await new Promise((resolve) => setTimeout(resolve, 0));
    device.check();
    throw new LowrankError({
      code: 'webgpu.device-error',
      what: 'reading from the GPU failed',
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  device.check();
}

/** writeBuffer takes multiples of 4; the last bytes of an odd array are padded, for which every buffer has room. */
export function upload(gpu: GPUDevice, buffer: GPUBuffer, offset: number, data: HostArray): void {
  if (data.byteLength === 0) return;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rest = bytes.length % 4;
  if (bytes.length > rest)
    gpu.queue.writeBuffer(buffer, offset, bytes as Uint8Array<ArrayBuffer>, 0, bytes.length - rest);
  if (rest === 0) return;
  const last = new Uint8Array(4);
  last.set(bytes.subarray(bytes.length - rest));
  gpu.queue.writeBuffer(buffer, offset + bytes.length - rest, last);
}

export function own(buffer: DeviceBuffer): WebgpuBuffer {
  if (buffer instanceof WebgpuBuffer) return buffer;
  throw new LowrankError({
    code: 'tensor.backend',
    what: 'a buffer',
    expected: 'one of the webgpu backend',
    got: 'one of another backend',
  });
}

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
