import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectPreferenceGolden, preferenceCases } from './preferenceCases.js';

describe('preference losses on the CPU against TRL', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createCpuBackend();
  });
  afterAll(() => backend.dispose());

  test.each(preferenceCases)('%s', (name) => expectPreferenceGolden(name, { backend }));
  test('padded', () => expectPreferenceGolden('dpoLearned', { backend, packing: false }));
  test('pairs of a batch in several sequences', () =>
    expectPreferenceGolden('simpoCpo', { backend, maxPackedTokens: 90 }));
});
