import { createWebgpuBackend } from '@lowrank/webgpu';
import { test } from 'vitest';
import { expectMinilmTrajectory } from './minilmCases.js';

test('MiniLM on sentiment, as PEFT trains it, on WebGPU', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true });
  try {
    await expectMinilmTrajectory(backend, 'golden');
  } finally {
    backend.dispose();
  }
});
