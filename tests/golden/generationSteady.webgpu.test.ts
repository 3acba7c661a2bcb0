import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createGenerator, createModel } from '@lowrank/models';
import { Rng } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { expectGenerationParity } from '../helpers/generationParity.js';

const folder = fileURLToPath(new URL('../../parity/golden/llama/tied', import.meta.url));

test(
  'one decode plan writes 200 tokens, and another prompt of the bucket: nothing is created on the device after ' +
    'the first',
  async () => {
    const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
    const { gpu, counters } = backend.device;
    // Counted here, on the device itself, and not by the backend's own counters.
    let created = 0;
    for (const name of [
      'createBuffer',
      'createBindGroup',
      'createComputePipeline',
      'createComputePipelineAsync',
      'createShaderModule',
    ] as const) {
      const original = gpu[name].bind(gpu) as (...args: unknown[]) => unknown;
      Object.defineProperty(gpu, name, { value: (...args: unknown[]) => (created++, original(...args)) });
    }
    const rng = new Rng(3);
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as Record<string, unknown>;
    const model = createModel({ ...config, max_position_embeddings: 256 }, ({ shape }) =>
      Float32Array.from({ length: sizeOf(shape) }, () => rng.normal() / 3),
    );
    const generator = createGenerator(model, { backend });
    const after: number[] = [];
    const first = await generator.generate([[1, 20, 31]], { maxNewTokens: 200, onToken: () => after.push(created) });
    expect(created).toBeGreaterThan(0);
    expect(new Set(after.slice(2)).size).toBe(1);
    const before = { created, submits: counters.submits };
    const settings = { temperature: 0.9, topK: 12, topP: 0.95, minP: 0.01, repetitionPenalty: 1.1, seed: 4 };
    const [second] = await generator.generate([[1, 5, 6, 7, 8, 9, 10]], { maxNewTokens: 200, ...settings });
    expect(second?.ids.length).toBe(200);
    expect(created).toBe(before.created);
    // One submit for each token: the prompt's last makes the first.
    expect(counters.submits - before.submits).toBe(200);
    const [again] = await generator.generate([[1, 20, 31]], { maxNewTokens: 20 });
    expect(again?.ids).toEqual(first[0]?.ids.slice(0, 20));
    expect(created).toBe(before.created);
    await generator.dispose();
    model.dispose();
    expect(backend.memory.buffers).toBe(0);
    backend.dispose();
  },
);

test('generation with the cache is generation without it, on WebGPU', async () => {
  const backend = await createWebgpuBackend({ allowSoftware: true, limits: 'default' });
  await expectGenerationParity({ backend, model: folder, newTokens: 6 });
  backend.dispose();
});
