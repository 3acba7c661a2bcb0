import type { GpuErrorLog } from './gpuErrors.js';

/**
 * What a device was asked for, counted by wrapping its calls, so that tests can hold a steady step to zero creations.
 */
export interface Counters {
  dispatches: number;
  submits: number;
  buffers: number;
  bindGroups: number;
  pipelines: number;
  shaderModules: number;
  /** Bytes of all live buffers, as given to createBuffer. */
  bytes: number;
}

export function newCounters(): Counters {
  return { dispatches: 0, submits: 0, buffers: 0, bindGroups: 0, pipelines: 0, shaderModules: 0, bytes: 0 };
}

/**
 * Wraps the device's create calls and its queue's submit on the instance itself, so that every path is counted, also
 * one that passes the raw device on. Buffer creation runs inside error scopes: a failed allocation reaches `log` even
 * where the implementation would not report it as uncaptured.
 */
export function countCalls(device: GPUDevice, counters: Counters, log: GpuErrorLog): void {
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    counters.buffers++;
    device.pushErrorScope('out-of-memory');
    let buffer: GPUBuffer;
    try {
      buffer = createBuffer(descriptor);
    } finally {
      log.watch(device.popErrorScope(), descriptor);
    }
    counters.bytes += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    let live = true;
    buffer.destroy = () => {
      if (live) counters.bytes -= descriptor.size;
      live = false;
      return destroy();
    };
    return buffer;
  };
  count(device, 'createBindGroup', () => counters.bindGroups++);
  count(device, 'createComputePipeline', () => counters.pipelines++);
  count(device, 'createComputePipelineAsync', () => counters.pipelines++);
  count(device, 'createShaderModule', () => counters.shaderModules++);
  count(device.queue, 'submit', () => counters.submits++);
}

function count<Host extends object, Key extends keyof Host>(host: Host, key: Key, tick: () => void): void {
  const original = host[key];
  if (typeof original !== 'function') return;
  Object.defineProperty(host, key, {
    configurable: true,
    writable: true,
    value: (...parameters: unknown[]): unknown => {
      tick();
      return Reflect.apply(original, host, parameters);
    },
  });
}
