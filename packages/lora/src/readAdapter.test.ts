import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { readAdapter, readAdapterFiles } from './readAdapter.js';
import { adapterFileBytes, serializeAdapter } from './serializeAdapter.js';
import { loraConfig } from './config.js';
import { goldenAdapter, goldenRoot } from './testing.js';

const config = { peft_type: 'LORA', r: 2, target_modules: ['q'] };
const key = (rest: string): string => `base_model.model.${rest}`;

interface Given {
  name: string;
  shape: number[];
  dtype?: 'F32' | 'F16' | 'I32';
}

/** A file of zeros. */
async function read(tensors: readonly Given[]): ReturnType<typeof readAdapter> {
  const entries = tensors.map(({ name, shape, dtype = 'F32' }) => ({
    name,
    shape,
    dtype,
    data: new Uint8Array(shape.reduce((a, b) => a * b, dtype === 'F16' ? 2 : 4)),
  }));
  return readAdapter({
    config,
    weights: bytesSource(serializeSafetensors(entries, {}), 'adapter.safetensors'),
    name: 'here',
  });
}

test.each(['tied-qv', 'tied-all', 'tied-rslora'])(
  '%s of PEFT is read, and written again byte by byte',
  async (name) => {
    const adapter = await goldenAdapter(name);
    const original = await readFile(`${goldenRoot}adapters/${name}/adapter_model.safetensors`);
    const files = serializeAdapter(adapter);
    expect(Object.keys(files).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
    expect(Buffer.compare(Buffer.from(files['adapter_model.safetensors'] ?? []), original)).toBe(0);
  },
);

test('matrices come with their shapes, by the path of their layer', async () => {
  const { layers } = await goldenAdapter('tied-all');
  expect(layers.size).toBe(14);
  expect(layers.get('model.layers.0.self_attn.q_proj')).toMatchObject({ rank: 2, inFeatures: 24, outFeatures: 24 });
  expect(layers.get('model.layers.1.mlp.down_proj')).toMatchObject({ rank: 3, inFeatures: 40, outFeatures: 24 });
});

test('stored in 16 bits it comes back rounded, in f32', async () => {
  const a = Float32Array.of(1, 0.1, -3);
  const adapter = {
    config: loraConfig({ targetModules: ['q'], r: 1 }),
    layers: new Map([['q', { a, b: Float32Array.of(0.5, 2), rank: 1, inFeatures: 3, outFeatures: 2 }]]),
  };
  const weights = serializeAdapter(adapter, { dtype: 'BF16' })['adapter_model.safetensors'] ?? new Uint8Array();
  expect(adapterFileBytes(adapter.layers, 'BF16')).toBe(weights.byteLength);
  expect(adapterFileBytes(adapter.layers)).toBe(serializeAdapter(adapter)['adapter_model.safetensors']?.byteLength);
  const file = await openSafetensors(bytesSource(weights));
  expect(file.tensors.get(key('q.lora_A.weight'))).toMatchObject({ dtype: 'BF16', shape: [1, 3] });
  expect(file.metadata).toEqual({ format: 'pt' });
  const back = await readAdapter({ config: { ...config, r: 1 }, weights: bytesSource(weights), name: 'here' });
  expect(back.layers.get('q')?.a).toEqual(Float32Array.of(1, 0.10009765625, -3));
});

test('keys that are no LoRA are listed', async () => {
  const good = [
    { name: key('q.lora_A.weight'), shape: [2, 3] },
    { name: key('q.lora_B.weight'), shape: [4, 2] },
  ];
  for (const name of [
    key('q.lora_magnitude_vector'),
    key('embed_tokens.lora_embedding_A.weight'),
    key('layers.0.q.base_layer.weight'),
    key('layers.0.q.weight'),
    'q.lora_A.weight',
    key('q.lora_B.bias'),
  ]) {
    await expect(read([...good, { name, shape: [2, 3] }])).rejects.toThrow(name);
  }
  await expect(read(good)).resolves.toMatchObject({ layers: { size: 1 } });
});

test(
  'the head that PEFT saves whole for a classifier is carried along, of other tasks a table for loadAdapter ' +
    'to judge',
  async () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const matrices = [
      { name: key('q.lora_A.weight'), shape: [2, 3] },
      { name: key('q.lora_B.weight'), shape: [4, 2] },
    ].map((entry) => ({
      ...entry,
      dtype: 'F32' as const,
      data: new Uint8Array(4 * (entry.shape[0] ?? 0) * (entry.shape[1] ?? 0)),
    }));
    const weights = bytesSource(
      serializeSafetensors([...matrices, { name: key('score.weight'), dtype: 'F32', shape: [2, 3], data }], {
        format: 'pt',
      }),
      'adapter.safetensors',
    );
    const adapter = await readAdapter({ config: { ...config, task_type: 'SEQ_CLS' }, weights, name: 'here' });
    expect(adapter.whole?.get('score.weight')).toEqual({ dtype: 'F32', shape: [2, 3], data });
    const again = serializeAdapter(adapter)['adapter_model.safetensors'];
    expect(again).toEqual(await weights.read(0, await weights.size()));
    const { whole = new Map() } = await readAdapter({ config, weights, name: 'here' });
    expect([...whole.keys()]).toEqual(['score.base_layer.weight']);
  },
);

test('a task that every object has by name has no head', async () => {
  const entries = [{ name: key('score.weight'), shape: [1], dtype: 'F32' as const, data: new Uint8Array(4) }];
  const weights = bytesSource(serializeSafetensors(entries, {}), 'adapter.safetensors');
  for (const task_type of ['constructor', 'toString', '__proto__'])
    await expect(readAdapter({ config: { ...config, task_type }, weights, name: 'here' })).rejects.toMatchObject({
      code: 'lora.keys',
    });
});

test('halves that miss each other or do not fit are named', async () => {
  await expect(read([{ name: key('q.lora_A.weight'), shape: [2, 3] }])).rejects.toThrow(
    /base_model\.model\.q .*only lora_A/,
  );
  await expect(read([{ name: key('q.lora_B.weight'), shape: [2, 3] }])).rejects.toThrow(/only lora_B/);
  await expect(
    read([
      { name: key('q.lora_A.weight'), shape: [2, 3] },
      { name: key('q.lora_B.weight'), shape: [4, 1] },
    ]),
  ).rejects.toThrow(/one rank.*\[2, 3\].*\[4, 1\]/);
  await expect(read([{ name: key('q.lora_A.weight'), shape: [6] }])).rejects.toThrow(/lora_A\.weight \[6\]/);
  await expect(
    read([
      { name: key('q.lora_A.weight'), shape: [2, 3], dtype: 'I32' },
      { name: key('q.lora_B.weight'), shape: [4, 2] },
    ]),
  ).rejects.toThrow(/F32, F16 or BF16.*I32/);
  await expect(read([])).rejects.toThrow(/no tensors/);
});

test('one adapter under the names of several versions of PEFT', async () => {
  const rows = (name: string, value: number, shape: number[] = [2, 3]) => ({ name: key(name), shape, value });
  const matrices = [rows('layers.0.q.lora_A.default.weight', 1), rows('layers.0.q.lora_B.default.weight', 2, [4, 2])];
  const tables = [
    rows('lm_head.weight', 3),
    rows('lm_head.modules_to_save.weight', 4),
    rows('lm_head.original_module.weight', 5),
    rows('wte.token_adapter.base_layer.weight', 6),
  ];
  const weights = bytesSource(
    serializeSafetensors(
      [...matrices, ...tables].map(({ name, shape, value }) => {
        const values = new Float64Array((shape[0] ?? 0) * (shape[1] ?? 0)).fill(value);
        return { name, dtype: 'F64' as const, shape, data: new Uint8Array(values.buffer) };
      }),
      {},
    ),
    'adapter.safetensors',
  );
  const adapter = await readAdapter({ config: { ...config, modules_to_save: ['lm_head'] }, weights, name: 'here' });
  expect(adapter.layers.get('layers.0.q')?.b).toEqual(new Float32Array(8).fill(2));
  const whole = [...(adapter.whole ?? [])].map(([name, { data }]) => [name, new Float32Array(data.buffer)[0]]);
  expect(Object.fromEntries(whole)).toEqual({
    'lm_head.weight': 3,
    'lm_head.base_layer.weight': 5,
    'wte.base_layer.weight': 6,
  });
  const { tensors } = await openSafetensors(bytesSource(serializeAdapter(adapter)['adapter_model.safetensors']));
  expect([...tensors.keys()].map((name) => name.replace(key(''), ''))).toEqual(
    expect.arrayContaining([
      'layers.0.q.lora_A.weight',
      'layers.0.q.lora_B.weight',
      'lm_head.weight',
      'lm_head.original_module.weight',
      'wte.weight',
    ]),
  );
});

test('numbers that are not finite are refused by the name of their tensor', async () => {
  const adapter = {
    config: loraConfig({ targetModules: ['q'], r: 1 }),
    layers: new Map([
      ['q', { a: Float32Array.of(1, NaN), b: Float32Array.of(1), rank: 1, inFeatures: 2, outFeatures: 1 }],
    ]),
  };
  await expect(readAdapterFiles(serializeAdapter(adapter))).rejects.toThrow(
    /q\.lora_A\.weight in .*finite numbers, got NaN at element 1/,
  );
});
