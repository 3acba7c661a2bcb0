import { createWebgpuBackend } from '@lowrank/webgpu';
import { test } from 'vitest';
import { expectMinilmTrajectory } from './minilmCases.js';

test('MiniLM on sentiment, as PEFT trains it, on WebGPU, whether the clip acts or not', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true });
  try {
    // SwiftShader takes half a minute for a step.
    const isSlow = backend.description.includes('swiftshader');
    await expectMinilmTrajectory(backend, 'golden-clip', { steps: isSlow ? 3 : 20 });
    if (!isSlow) await expectMinilmTrajectory(backend, 'golden');
  } finally {
    backend.dispose();
  }
});
