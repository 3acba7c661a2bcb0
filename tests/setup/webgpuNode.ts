import { afterAll, beforeAll } from 'vitest';
import { create, globals } from 'webgpu';
import { assertDispatched, countDispatches } from './dispatchCounter';

// The package types its globals as a bare object.
countDispatches((globals as { GPUComputePassEncoder: typeof GPUComputePassEncoder }).GPUComputePassEncoder);

/**
 * Dawn crashes when its instance is collected while something of it lives: held as long as the process, which runs
 * this module anew for each file.
 */
const held = globalThis as { __dawnOfSetup?: GPU };

/** The shared project has files for the CPU too. */
const usesGpu = (file: { name: string }): boolean => file.name.includes('.webgpu.');

beforeAll(async ({}, file) => {
  if (!usesGpu(file)) return;
  held.__dawnOfSetup ??= create([]);
  const adapter = await held.__dawnOfSetup.requestAdapter();
  if (adapter === null) {
    throw new Error(
      'no WebGPU adapter in Node. Expected a Vulkan driver for Dawn; VK_DRIVER_FILES is ' +
        `${process.env.VK_DRIVER_FILES ?? 'not set'}. ` +
        'Unset it, or install chromium (it carries SwiftShader), or set LOWRANK_GPU=1 for a real GPU.',
    );
  }
  const { vendor, architecture, description } = adapter.info;
  console.log(`WebGPU adapter in Node: ${[vendor, architecture, description].filter(Boolean).join(', ')}`);
});

afterAll(({}, file) => {
  if (usesGpu(file)) assertDispatched(file);
});
