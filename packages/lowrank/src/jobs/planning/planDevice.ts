import { createCpuBackend } from '@lowrank/cpu';
import { isLowrankError } from '@lowrank/errors';
import type { BackendSpec, Precision } from '@lowrank/tensor/backend';
import { adapterName, listAdapters, portableSpec, profileOf } from '@lowrank/webgpu';
import { totalmem } from 'node:os';
import type { DeviceName } from '../../device.js';
import { checkPrecision } from '../../device.js';

/** What a plan is made for. */
export interface PlanDevice {
  readonly name: string;
  readonly spec: BackendSpec;
  /** Room for all buffers together; undefined where it is not known: WebGPU does not tell a GPU's memory. */
  readonly memoryBytes: number | undefined;
}

/** The limits that today's desktop GPUs offer through Dawn: buffers and bindings just under 2 GiB. */
export const commonLimits = { maxBufferSize: 2 ** 31 - 4, maxStorageBufferBindingSize: 2 ** 31 - 4 };

/** A GPU with f16, of which nothing else is known. */
const withHalf = {
  vendor: '',
  architecture: '',
  device: '',
  description: '',
  software: false,
  features: ['shader-f16'],
  subgroupMinSize: undefined,
  subgroupMaxSize: undefined,
};

/**
 * The device to plan for: with `auto` the real GPU at hand, else one with the limits that are common; with `webgpu`
 * whatever adapter there is, else the same; with `cpu` the CPU backend. None is opened but the last, to ask what it can
 * do.
 *
 * @throws LowrankError `lowrank.precision` and `webgpu.precision` for `mixed` where the device has no 16-bit floats
 */
export async function planDevice(device: DeviceName, precision?: Precision): Promise<PlanDevice> {
  if (device === 'cpu') {
    const backend = await createCpuBackend();
    const { description, spec } = backend;
    backend.dispose();
    checkPrecision(backend, precision);
    return { name: `cpu, ${description}`, spec, memoryBytes: Math.min(2 ** 32, totalmem()) };
  }
  const adapters = await listAdapters().catch((error: unknown) => {
    if (isLowrankError(error)) return [];
    throw error;
  });
  const found = adapters.find(({ software }) => !software) ?? (device === 'webgpu' ? adapters[0] : undefined);
  if (found === undefined) {
    const isMixed = precision === 'mixed';
    return {
      name: `a GPU with common limits${isMixed ? ' and 16-bit floats' : ''} (none was found)`,
      spec: portableSpec(commonLimits, isMixed ? { profile: profileOf(withHalf, { precision }) } : {}),
      memoryBytes: undefined,
    };
  }
  return {
    name: adapterName(found),
    spec: portableSpec(found.limits, { profile: profileOf(found, { precision }) }),
    memoryBytes: found.software ? totalmem() : undefined,
  };
}
