import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { expectIsolation } from './batchingCases.js';

test('a document of a packed sequence moves no other', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  await expectIsolation(backend);
  expect(backend.memory.buffers).toBe(0);
  backend.dispose();
});
