import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import {
  expectOldNames,
  expectPooled,
  expectVisionParity,
  expectVisionWeightGradients,
  goldenVision,
} from './visionCases.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
afterAll(() => backend.dispose());

describe.each(goldenVision)('%s on the CPU', (name) => {
  test('logits, loss, gradients, files and merged weights are those of transformers and PEFT', () =>
    expectVisionParity(backend, name));

  test('the gradient of every weight', () => expectVisionWeightGradients(backend, name));
});

test('siglip: the pooling head makes transformers’ vector of an image', () => expectPooled(backend, 'siglip'));

test('vit: an adapter with transformers 4’s names and targets', () => expectOldNames(backend, 'vit'));
