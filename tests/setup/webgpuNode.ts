import { parentPort } from 'node:worker_threads';
import { afterAll, beforeAll } from 'vitest';
import { assertDispatched, countDispatches } from './dispatchCounter';

/** Node computes on Dawn; Deno, in which `scripts/tiers.mjs` runs the same tests, on a WebGPU of its own. */
const own = (globalThis.navigator as { gpu?: GPU } | undefined)?.gpu;
const dawn = own === undefined ? await import('webgpu') : undefined;
// The package types its globals as a bare object.
const { GPUComputePassEncoder: encoder } = (dawn?.globals ?? globalThis) as typeof globalThis;
countDispatches(encoder);
// Vitest calls it as a worker ends, and Deno has none.
if (own !== undefined && parentPort !== null) Object.assign(parentPort, { removeAllListeners: () => parentPort });
const runtime = own === undefined ? 'Node' : 'Deno';

/**
 * Dawn crashes when its instance is collected while something of it lives: held as long as the process, which runs
 * this module anew for each file.
 */
const held = globalThis as { __dawnOfSetup?: GPU };

/** The shared project has files for the CPU too. */
const usesGpu = (file: { name: string }): boolean => file.name.includes('.webgpu.');

beforeAll(async ({}, file) => {
  if (!usesGpu(file)) return;
  const gpu = own ?? (held.__dawnOfSetup ??= dawn?.create([]));
  const adapter = await gpu?.requestAdapter();
  if (!adapter) {
    throw new Error(
      `no WebGPU adapter in ${runtime}. Expected a Vulkan driver for it; VK_DRIVER_FILES is ` +
        `${process.env.VK_DRIVER_FILES ?? 'not set'}. ` +
        'Unset it, or install chromium (it carries SwiftShader), or set LOWRANK_GPU=1 for a real GPU.',
    );
  }
  const { vendor, architecture, description } = adapter.info;
  console.log(`WebGPU adapter in ${runtime}: ${[vendor, architecture, description].filter(Boolean).join(', ')}`);
});

afterAll(({}, file) => {
  if (usesGpu(file)) assertDispatched(file);
});
