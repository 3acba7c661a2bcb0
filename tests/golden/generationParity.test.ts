import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { test } from 'vitest';
import { expectGenerationParity } from '../helpers/generationParity.js';

test.each(['tied', 'untied', 'headDim16', 'bias', 'ropeLlama3'])(
  'generation with the cache is generation without it: Llama, %s',
  async (variant) => {
    const backend = await createCpuBackend();
    await expectGenerationParity({
      backend,
      model: fileURLToPath(new URL(`../../parity/golden/llama/${variant}`, import.meta.url)),
    });
    backend.dispose();
  },
);
