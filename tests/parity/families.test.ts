import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectGenerationParity } from '../helpers/generationParity.js';
import {
  dependsOnLength,
  expectFamilyParity,
  expectPackingParity,
  expectWeightGradients,
  familyFolder,
  goldenFamilies,
} from './familyCases.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
afterAll(() => backend.dispose());

describe.each(goldenFamilies)('%s on the CPU', (name) => {
  test('logits, loss and adapter gradients are those of transformers and PEFT', () =>
    expectFamilyParity(backend, name));

  test('the gradient of every weight', () => expectWeightGradients(backend, name));

  // Frequencies that depend on the length of the row agree neither with shorter rows nor with the room of a cache.
  if (dependsOnLength(name)) return;

  test('packed documents are as if alone', () => expectPackingParity(backend, name));

  test('generation with the cache is generation without it', () =>
    expectGenerationParity({ backend, model: familyFolder(name) }));
});
