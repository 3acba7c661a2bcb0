import type { TensorEntry } from '@lowrank/safetensors';
import { bytesSource, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import type { LoraAdapter } from './loraAdapter.js';
import { readAdapter } from './readAdapter.js';
import { serializeAdapter } from './serializeAdapter.js';
import { scalingAt } from './scaling.js';
import { readMlxAdapter } from './mlx.js';

/** adapter_config.json as mlx-lm's lora.py writes it: its arguments, sorted. */
const config = {
  adapter_path: 'adapters',
  batch_size: 4,
  fine_tune_type: 'lora',
  iters: 100,
  lora_parameters: { dropout: 0.25, keys: ['self_attn.q_proj', 'self_attn.v_proj'], rank: 2, scale: 20 },
  mask_prompt: false,
  model: 'mlx-community/some-model-4bit',
  num_layers: 1,
};

interface Given {
  name: string;
  shape: number[];
  values?: number[];
  dtype?: TensorEntry['dtype'];
}

async function read(tensors: readonly Given[], changed: object = {}): Promise<LoraAdapter> {
  const entries = tensors.map(({ name, shape, values, dtype = 'F32' }) => ({
    name,
    shape,
    dtype,
    data:
      values === undefined
        ? new Uint8Array(shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 2))
        : new Uint8Array(Float32Array.from(values).buffer),
  }));
  return readMlxAdapter({
    config: { ...config, ...changed },
    weights: bytesSource(serializeSafetensors(entries, {}), 'adapters.safetensors'),
    name: 'here',
  });
}

const q = 'model.layers.3.self_attn.q_proj';
const pair: Given[] = [
  { name: `${q}.lora_a`, shape: [3, 2], values: [1, 2, 3, 4, 5, 6] },
  { name: `${q}.lora_b`, shape: [2, 2], values: [7, 8, 9, 10] },
];

test('y = scale·(x·a)·b is y = s·B·(A·x)', async () => {
  const adapter = await read([
    ...pair,
    { name: 'model.layers.3.mlp.up_proj.lora_b', shape: [2, 5], dtype: 'BF16' },
    { name: 'model.layers.3.mlp.up_proj.lora_a', shape: [3, 2], dtype: 'F16' },
  ]);
  expect(adapter.layers.get(q)).toEqual({
    a: Float32Array.of(1, 3, 5, 2, 4, 6),
    b: Float32Array.of(7, 9, 8, 10),
    rank: 2,
    inFeatures: 3,
    outFeatures: 2,
  });
  expect(adapter.layers.get('model.layers.3.mlp.up_proj')).toMatchObject({ rank: 2, inFeatures: 3, outFeatures: 5 });
  expect(adapter.config).toMatchObject({
    r: 2,
    alpha: 40,
    dropout: 0.25,
    useRslora: false,
    targetModules: [q, 'model.layers.3.mlp.up_proj'],
    baseModel: 'mlx-community/some-model-4bit',
    taskType: 'CAUSAL_LM',
  });
  expect(scalingAt(adapter.config, q)).toBe(20);
  // x = (1, −1, 2): x·a = (8, 10), times b (146, 164), times 20.
  const { a = new Float32Array(), b = new Float32Array() } = adapter.layers.get(q) ?? {};
  const hidden = [0, 1].map((k) => [1, -1, 2].reduce((sum, x, at) => sum + x * (a[k * 3 + at] ?? NaN), 0));
  expect([0, 1].map((out) => 20 * hidden.reduce((sum, h, k) => sum + h * (b[out * 2 + k] ?? NaN), 0))).toEqual([
    2920, 3280,
  ]);
});

test('PEFT reads what becomes of it', async () => {
  const adapter = await read([
    ...pair,
    { name: 'model.embed_tokens.lora_a', shape: [11, 2] },
    { name: 'model.embed_tokens.lora_b', shape: [2, 3] },
  ]);
  expect(adapter.layers.get('model.embed_tokens')).toMatchObject({ embedding: true, inFeatures: 11, outFeatures: 3 });
  const files = serializeAdapter(adapter);
  const again = await readAdapter({
    config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])),
    weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
    name: 'again',
  });
  expect(again.layers).toEqual(adapter.layers);
  expect(again.config).toMatchObject({ r: 2, alpha: 40 });
});

test('another base model is named where it is given', async () => {
  const entries = pair.map(({ name, shape }) => ({
    name,
    shape,
    dtype: 'F32' as const,
    data: new Uint8Array((shape[0] ?? 0) * (shape[1] ?? 0) * 4),
  }));
  const adapter = await readMlxAdapter({
    config,
    weights: bytesSource(serializeSafetensors(entries, {})),
    name: 'here',
    baseModel: 'owner/model',
  });
  expect(adapter.config.baseModel).toBe('owner/model');
});

test.each<[string, Given[], object, string, RegExp]>([
  ['DoRA', pair, { fine_tune_type: 'dora' }, 'lora.mlxConfig', /"dora"/],
  ['a full fine-tune', pair, { fine_tune_type: 'full', lora_parameters: null }, 'lora.mlxConfig', /"full"/],
  ['no parameters', pair, { lora_parameters: null }, 'lora.mlxConfig', /rank and scale/],
  ['no scale', pair, { lora_parameters: { rank: 2 } }, 'lora.mlxConfig', /lora_parameters\.scale.*nothing/],
  ['a rank of 1.5', pair, { lora_parameters: { rank: 1.5, scale: 1 } }, 'lora.mlxConfig', /1\.5/],
  [
    'an alpha of the first versions',
    pair,
    { lora_layers: 16, lora_parameters: { rank: 2, scale: 10, alpha: 16 } },
    'lora.mlxConfig',
    /set scale to 80/,
  ],
  ["PEFT's own file", pair, { peft_type: 'LORA' }, 'lora.mlxConfig', /needs no conversion/],
  ['a magnitude', [...pair, { name: `${q}.m`, shape: [2] }], {}, 'lora.mlxKeys', /q_proj\.m \[2\]/],
  ['experts', [{ name: `${q}.lora_a`, shape: [4, 2, 3] }], {}, 'lora.mlxKeys', /\[4, 2, 3\]/],
  ['nothing', [], {}, 'lora.mlxKeys', /no tensors/],
  ['half a layer', pair.slice(1), {}, 'lora.mlxKeys', /only lora_b/],
  ['another rank', pair, { lora_parameters: { rank: 3, scale: 1 } }, 'lora.shape', /lora_a \[in, 3\]/],
  ['integers', [...pair.slice(1), { name: `${q}.lora_a`, shape: [3, 2], dtype: 'I16' }], {}, 'lora.dtype', /I16/],
])('%s is refused', async (...[, tensors, changed, code, words]) => {
  await expect(read(tensors, changed)).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(words) as string }),
  );
});
