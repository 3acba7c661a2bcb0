import type { Backend } from '@lowrank/tensor';
import type { DeviceBuffer } from '@lowrank/tensor/backend';

/** A backend for one run. */
export interface MeteredBackend {
  readonly backend: Backend;
  /** Most bytes that were live at one time. */
  readonly peakBytes: number;
  /** Frees all that the run left behind; the backend below lives on. */
  release(): void;
}

/**
 * A face of a backend that counts what is allocated through it, and can free it: the peak of one run, on any device,
 * and no memory that one run leaves to the next. What was made of it (models, tensors) is not to be used after
 * `release`.
 */
export function meteredBackend(below: Backend): MeteredBackend {
  const live = new Set<DeviceBuffer>();
  let bytes = 0;
  let peakBytes = 0;
  const allocate = (size: number, label: string): DeviceBuffer => {
    const buffer = below.allocate(size, label);
    const destroy = buffer.destroy.bind(buffer);
    live.add(buffer);
    bytes += buffer.bytes;
    peakBytes = Math.max(peakBytes, bytes);
    // The buffer stays the backend's own: kernels know it by its class.
    buffer.destroy = () => {
      if (live.delete(buffer)) bytes -= buffer.bytes;
      destroy();
    };
    return buffer;
  };
  const backend: Backend = {
    name: below.name,
    description: below.description,
    spec: below.spec,
    ...(below.kernelChoices && { kernelChoices: below.kernelChoices }),
    get memory() {
      return { buffers: live.size, bytes, peakBytes };
    },
    allocate,
    write: (buffer, offset, data) => below.write(buffer, offset, data),
    read: (buffer, offset, size) => below.read(buffer, offset, size),
    prepare: (plan, buffers) => below.prepare(plan, buffers),
    finish: () => below.finish(),
    dispose: () => undefined,
  };
  return {
    backend,
    get peakBytes() {
      return peakBytes;
    },
    release() {
      for (const buffer of live) buffer.destroy();
    },
  };
}
