import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { runAdapter } from './resumeCases.js';

test('steps are some, a resume and the others, bit for bit', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  const { shown: whole, states } = await runAdapter(backend, { steps: 20, saveEvery: 10 });
  const { shown: rest } = await runAdapter(backend, { steps: 20, saveEvery: 10, resume: states.get(10) });
  expect(rest).toEqual({ ...whole, steps: whole.steps.slice(10) });
  expect(backend.memory.buffers).toBe(0);
  backend.dispose();
});
