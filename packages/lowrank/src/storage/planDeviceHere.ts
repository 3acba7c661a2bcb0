import { createCpuBackend } from '@lowrank/cpu';
import { isLowrankError } from '@lowrank/errors';
import type { Precision } from '@lowrank/tensor/backend';
import { adapterName, listAdapters, portableSpec, profileOf } from '@lowrank/webgpu';
import type { DeviceName } from '../device.js';
import { checkPrecision } from '../device.js';
import type { PlanDevice } from '../jobs/planning/planDevice.js';

/**
 * The device that `loadModel` would take in this tab or process, as far as a plan needs to know it; nothing stays open.
 * A browser tells the machine's memory in steps and 8 GB at most, and a GPU's not at all.
 */
export async function planDeviceHere(device: DeviceName, precision?: Precision): Promise<PlanDevice> {
  if (device !== 'cpu') {
    const adapters = await listAdapters().catch((error: unknown) => {
      if (isLowrankError(error)) return [];
      throw error;
    });
    const found = adapters.find(({ software }) => !software) ?? (device === 'webgpu' ? adapters[0] : undefined);
    if (found !== undefined)
      return {
        name: adapterName(found),
        spec: portableSpec(found.limits, { profile: profileOf(found, { precision }) }),
        memoryBytes: found.software ? machineBytes() : undefined,
      };
  }
  const backend = await createCpuBackend({ threads: 1 });
  const { description, spec } = backend;
  backend.dispose();
  checkPrecision(backend, precision);
  return { name: `cpu, ${description}`, spec, memoryBytes: Math.min(2 ** 32, machineBytes() ?? Infinity) };
}

function machineBytes(): number | undefined {
  const { deviceMemory } = (globalThis.navigator ?? {}) as { readonly deviceMemory?: number };
  return deviceMemory === undefined ? undefined : deviceMemory * 2 ** 30;
}
