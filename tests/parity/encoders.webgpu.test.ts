import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectEncoderParity, goldenEncoders } from './encoderCases.js';

describe('models with heads on WebGPU with default limits', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  });
  afterAll(() => backend.dispose());

  test.each(goldenEncoders)('%s: logits, loss, gradients and merged weights are those of PEFT', (name) =>
    expectEncoderParity(backend, name),
  );
});
