import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { expectEncoderParity, expectEncoderWeightGradients, goldenEncoders } from './encoderCases.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
afterAll(() => backend.dispose());

describe.each(goldenEncoders)('%s on the CPU', (name) => {
  test('logits, loss, gradients and merged weights are those of transformers and PEFT, padded and packed', () =>
    expectEncoderParity(backend, name));

  test('the gradient of every weight', () => expectEncoderWeightGradients(backend, name));
});
