import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { createModel, generate, kvCaches } from '@lowrank/models';
import type { KvCache } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import { Rng } from '@lowrank/tensor';
import { sizeOf } from '@lowrank/tensor/op';
import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';

const config = fileURLToPath(new URL('../../parity/golden/llama/tied/config.json', import.meta.url));

/** 128 tokens after a prompt of 4,000, by a small model of random weights, the same ones for every backend. */
async function written(backend: Backend, kvCache: KvCache): Promise<readonly number[]> {
  const rng = new Rng(3);
  const small = JSON.parse(await readFile(config, 'utf8')) as Record<string, unknown>;
  const model = createModel({ ...small, num_hidden_layers: 1, max_position_embeddings: 8192 }, ({ shape }) =>
    Float32Array.from({ length: sizeOf(shape) }, () => rng.normal() / 3),
  );
  const ids = Array.from({ length: 4000 }, () => Math.floor(rng.uniform() * model.shape.vocabularySize));
  const [text = []] = await generate(model, { backend, prompts: [ids], kvCache }, { maxNewTokens: 128 });
  model.dispose();
  backend.dispose();
  return text;
}

test.each(kvCaches)(
  '128 tokens after a prompt of 4,000, keys in %s read in parts: those of the CPU',
  async (kvCache) => {
    const options = { allowSoftware: true, limits: 'default', tier: 'portable' } as const;
    const onGpu = await written(await createWebgpuBackend(options), kvCache);
    expect(onGpu).toHaveLength(128);
    expect(onGpu).toEqual(await written(await createCpuBackend({ threads: 1 }), kvCache));
  },
);
