import { createWebgpuBackend } from '@lowrank/webgpu';
import { test } from 'vitest';
import { expectSameDraws } from './checkpointingCases';

test('on WebGPU with dropout: recomputed layers draw the same again', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  await expectSameDraws(backend, { targetModules: ['q_proj', 'down_proj'] }, 6);
  backend.dispose();
});
