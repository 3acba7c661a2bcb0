import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectPreferenceGolden } from './preferenceCases.js';

describe('preference losses on WebGPU against TRL', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  });
  afterAll(() => backend.dispose());

  // The others are the same kernels: dpoFull trains the output projection, whose gradient is made row by row.
  test.each(['dpoFull', 'orpo', 'kto'])('%s', (name) => expectPreferenceGolden(name, { backend }));
});
