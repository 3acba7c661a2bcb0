import { afterAll, beforeAll } from 'vitest';
import { assertDispatched, countDispatches } from './dispatchCounter';

countDispatches(GPUComputePassEncoder);

beforeAll(async () => {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) {
    throw new Error(
      'no WebGPU adapter in Chromium. Expected SwiftShader, or a real GPU with LOWRANK_GPU=1; try another ' +
        'browser with CHROMIUM_PATH.',
    );
  }
  const { vendor, architecture, description } = adapter.info;
  console.log(`WebGPU adapter in Chromium: ${[vendor, architecture, description].filter(Boolean).join(', ')}`);
});

afterAll(({}, file) => assertDispatched(file));
