import { loadAdapter } from '@lowrank/patch';
import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectClose, floats, logitsOf, openCase, trainFive } from './variantCases.js';

let backend: Backend;
beforeAll(async () => (backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' })));
afterAll(() => backend.dispose());

// An odd number of token rows over tied weights; a rank of the output projection that no other layer has.
test.each(['tokensTied', 'head'])(
  '%s on WebGPU: the losses of five steps, and the logits after them, are PEFT’s',
  async (name) => {
    const { answers, file, model, adapter } = await openCase('saved', name);
    const { parameters } = await loadAdapter(model, adapter);
    const losses = await trainFive(backend, model, parameters);
    losses.forEach((got, at) => expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(1e-4));
    expectClose(await logitsOf(backend, model), await floats(file, 'logits.trained'), 2e-4);
    model.dispose();
  },
);
