import { createWebgpuBackend } from '@lowrank/webgpu';
import { test } from 'vitest';
import { expectMinilmTrajectory } from './minilmCases.js';

test('MiniLM on sentiment, as PEFT trains it, on WebGPU', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true });
  try {
    await expectMinilmTrajectory(backend, 'golden-clip', {
      steps: backend.description.includes('swiftshader') ? 3 : 20,
    });
  } finally {
    backend.dispose();
  }
});
