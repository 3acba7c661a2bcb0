import { availableParallelism } from 'node:os';
import { createCpuBackend } from '@lowrank/cpu';
import { createWebgpuBackend, listAdapters } from '@lowrank/webgpu';

/**
 * A device that Lowrank can run on here.
 *
 * @typedef {object} Device
 * @property {string} id for tables and `--only`: `cpu-1`, `cpu-2`, `webgpu`
 * @property {'cpu' | 'webgpu'} kind
 * @property {number | undefined} threads of the CPU backend
 * @property {string} description
 * @property {boolean} software a WebGPU adapter that computes on the CPU
 * @property {() => Promise<import('@lowrank/tensor').Backend>} open
 */

/** Thread counts to measure: one, two (what PyTorch is compared at), and all. */
export function threadCounts(cores = availableParallelism()) {
  return [...new Set([1, Math.min(2, cores), cores])];
}

/**
 * Every device that is there, and why others are not.
 *
 * @param {{ dawn?: readonly string[] }} [options] dawn: options of Dawn's `create()`
 * @returns {Promise<{ devices: Device[], absent: { id: string, reason: string }[] }>}
 */
export async function findDevices({ dawn = [] } = {}) {
  const devices = await Promise.all(
    threadCounts().map(async (threads) => {
      const backend = await createCpuBackend({ threads });
      const { description } = backend;
      backend.dispose();
      return {
        id: `cpu-${threads}`,
        kind: 'cpu',
        threads,
        description,
        software: false,
        open: () => createCpuBackend({ threads }),
      };
    }),
  );
  try {
    const found = await findAdapters(dawn);
    if (found.length === 0) return { devices, absent: [{ id: 'webgpu', reason: noAdapter() }] };
    return { devices: [...devices, ...found], absent: [] };
  } catch (error) {
    return { devices, absent: [{ id: 'webgpu', reason: error instanceof Error ? error.message : String(error) }] };
  }
}

const noAdapter = () =>
  `no adapter${process.env.VK_DRIVER_FILES ? ` with VK_DRIVER_FILES=${process.env.VK_DRIVER_FILES}` : ''}; a ` +
  'software adapter is measured when LOWRANK_VK=swiftshader (or lavapipe) or VK_DRIVER_FILES names one';

/** @param {readonly string[]} dawn @returns {Promise<Device[]>} */
async function findAdapters(dawn) {
  await setNavigatorGpu(dawn);
  const adapters = await listAdapters();
  return adapters.map((adapter, at) => ({
    id: adapters.length === 1 ? 'webgpu' : `webgpu-${at + 1}`,
    kind: 'webgpu',
    threads: undefined,
    software: adapter.software,
    description:
      [adapter.vendor, adapter.architecture, adapter.description].filter(Boolean).join(' ') +
      (adapter.software ? ' (software)' : ''),
    async open() {
      if (adapters.length > 1) await setNavigatorGpu([...dawn, `adapter=${adapter.device}`]);
      return createWebgpuBackend();
    },
  }));
}

/** Dawn crashes when an instance is collected while something of it lives. */
const instances = new Map();

/**
 * Gives this process the `navigator.gpu` and the GPU constants of a browser, from Dawn: what jax-js needs to find
 * WebGPU, and what our backend takes where it is there, so that both run on the same instance with the same options.
 *
 * @param {readonly string[]} options of Dawn's `create()`
 */
async function setNavigatorGpu(options) {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const key = options.join('\n');
  if (!instances.has(key)) instances.set(key, create([...options]));
  // Node 20 has no `navigator`, later ones have one without `gpu`.
  if (!('navigator' in globalThis)) {
    const navigator = { userAgent: `Node.js/${process.versions.node}`, hardwareConcurrency: availableParallelism() };
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  }
  Object.defineProperty(globalThis.navigator, 'gpu', { value: instances.get(key), configurable: true });
}
