import { createCpuBackend } from '@lowrank/cpu';
import type { Backend } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, test } from 'vitest';
import {
  expectEncoderParity,
  expectEncoderWeightGradients,
  expectLabelLosses,
  goldenEncoders,
  openEncoderGolden,
} from './encoderCases.js';

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

const classifiers: string[] = [];
for (const name of goldenEncoders) if ((await openEncoderGolden(name)).kind === 'sequence') classifiers.push(name);

test.each(classifiers)('%s on the CPU: losses of several labels at once and of numbers', (name) =>
  expectLabelLosses(backend, name),
);
