import type { Backend } from '@lowrank/tensor';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { afterAll, beforeAll, test } from 'vitest';
import { expectEmbeddingParity } from './embeddingCases.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
});
afterAll(() => backend.dispose());

test.each(['gpt2', 'llama'])(
  '%s with an adapted embedding on WebGPU: logits, losses, and the gradient of every matrix',
  (name) => expectEmbeddingParity(backend, name),
);
