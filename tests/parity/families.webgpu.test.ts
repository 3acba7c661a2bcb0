import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectGenerationParity } from '../helpers/generationParity.js';
import { expectFamilyParity, familyFolder, goldenFamilies } from './familyCases.js';

describe('model families on WebGPU with default limits', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  });
  afterAll(() => backend.dispose());

  test.each(goldenFamilies)('%s: logits, loss and adapter gradients are those of transformers and PEFT', (name) =>
    expectFamilyParity(backend, name),
  );

  // Soft caps and windows with a cache; the other forms of attention do not differ there.
  test('gemma2: generation with the cache is generation without it', () =>
    expectGenerationParity({ backend, model: familyFolder('gemma2'), newTokens: 4 }));
});
