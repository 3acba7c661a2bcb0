import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectVisionParity, goldenVision } from './visionCases.js';

describe('image classifiers on WebGPU with default limits', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  });
  afterAll(() => backend.dispose());

  test.each(goldenVision)('%s: logits, loss, gradients and merged weights are those of PEFT', (name) =>
    expectVisionParity(backend, name),
  );
});
