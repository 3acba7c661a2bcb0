import { createCpuBackend } from '@lowrank/cpu';
import { test } from 'vitest';
import { expectPublishedStory } from './generationCases.js';

test('stories260K writes its published story on the CPU', async () => {
  const backend = await createCpuBackend();
  await expectPublishedStory(backend);
  backend.dispose();
});
