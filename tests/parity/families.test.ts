import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectGenerationParity } from '../helpers/generationParity.js';
import {
  expectFamilyParity,
  expectPackingParity,
  expectWeightGradients,
  families,
  familyFolder,
} from './familyCases.js';

describe('model families on the CPU', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createCpuBackend();
  });
  afterAll(() => backend.dispose());

  test.each(Object.keys(families))(
    '%s: logits, loss and adapter gradients are those of transformers and PEFT',
    (name) => expectFamilyParity(backend, name),
  );

  test.each(Object.keys(families))('%s: the gradient of every weight', (name) => expectWeightGradients(backend, name));

  // llamaDynamic's frequencies go by the length of the row, whatever documents it holds.
  test.each(Object.keys(families).filter((name) => name !== 'llamaDynamic'))(
    '%s: packed documents are as if alone',
    (name) => expectPackingParity(backend, name),
  );

  // Frequencies that go by the length of the row cannot agree with those that go by the room of the cache.
  test.each(Object.keys(families).filter((name) => name !== 'llamaDynamic'))(
    '%s: generation with the cache is generation without it',
    (name) => expectGenerationParity({ backend, model: familyFolder(name) }),
  );
});
