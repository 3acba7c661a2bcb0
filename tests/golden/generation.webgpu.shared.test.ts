import { createWebgpuBackend } from '@lowrank/webgpu';
import { test } from 'vitest';
import { expectPublishedStory } from './generationCases.js';

test('stories260K writes its published story on WebGPU', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  await expectPublishedStory(backend);
  backend.dispose();
});
