import { createCpuBackend } from '@lowrank/cpu';
import type { LoraConfig } from '@lowrank/lora';
import { test } from 'vitest';
import { expectSameDraws } from './checkpointingCases';

test.each<[string, Partial<LoraConfig>]>([
  ['LoRA', {}],
  ['DoRA', { useDora: true, targetModules: ['v_proj', 'down_proj'] }],
  ['PiSSA', { init: 'pissa', targetModules: ['q_proj', 'up_proj'] }],
])('%s with dropout: recomputed layers draw the same again', async (_, given) => {
  const backend = await createCpuBackend();
  await expectSameDraws(backend, given, 16);
  backend.dispose();
});
