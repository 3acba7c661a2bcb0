import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bytesSource } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { parseAdapterConfig } from './adapterConfig.js';
import { readAdapter } from './readAdapter.js';
import { serializeAdapter } from './serializeAdapter.js';

const folder = fileURLToPath(new URL('../../../../shared/data/adapters/peft-gpt2-emotion/', import.meta.url));

test('a classifier of emotions that PEFT trained on GPT-2: read, and written again', async () => {
  const config: unknown = JSON.parse(await readFile(`${folder}adapter_config.json`, 'utf8'));
  const bytes = await readFile(`${folder}adapter_model.safetensors`);
  const adapter = await readAdapter({
    config,
    weights: bytesSource(bytes, 'adapter_model.safetensors'),
    name: 'peft-gpt2-emotion',
  });
  expect(adapter.config).toMatchObject({
    r: 8,
    alpha: 8,
    targetModules: ['c_attn'],
    fanInFanOut: true,
    taskType: 'SEQ_CLS',
    baseModel: 'gpt2',
  });
  expect([...adapter.layers.keys()].sort()).toEqual(
    Array.from({ length: 12 }, (_, at) => `transformer.h.${at}.attn.c_attn`).sort(),
  );
  for (const matrices of adapter.layers.values()) {
    expect(matrices).toMatchObject({ rank: 8, inFeatures: 768, outFeatures: 2304 });
    expect(matrices.b.some((value) => value !== 0)).toBe(true);
  }
  expect([...(adapter.whole ?? [])].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
    ['score.weight', 'F32', [6, 768]],
  ]);
  const files = serializeAdapter(adapter);
  expect(Buffer.compare(Buffer.from(files['adapter_model.safetensors'] ?? []), bytes)).toBe(0);
  expect(parseAdapterConfig(JSON.parse(new TextDecoder().decode(files['adapter_config.json'])))).toEqual(
    adapter.config,
  );
});
