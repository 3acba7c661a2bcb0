import { readFileSync } from 'node:fs';
import { bytesSource, serializeSafetensors } from '@lowrank/safetensors';
import { expect, test } from 'vitest';
import { serializeAdapter } from './serializeAdapter.js';
import { loraConfig } from './config.js';
import { inspectAdapter } from './inspect.js';
import type { AdapterReport } from './inspect.js';
import { truncatedSvd } from './numeric/svd.js';
import { goldenAdapter, goldenRoot } from './testing.js';

async function golden(name: string, changed: object = {}): Promise<AdapterReport> {
  const folder = `${goldenRoot}adapters/${name}`;
  const config = JSON.parse(readFileSync(`${folder}/adapter_config.json`, 'utf8')) as object;
  return inspectAdapter({
    config: { ...config, ...changed },
    weights: bytesSource(readFileSync(`${folder}/adapter_model.safetensors`)),
    name,
  });
}

/** s·B·A = diag(3, 4, 0) of 2 as factor. */
const diagonal = {
  config: loraConfig({ targetModules: ['q'], r: 2, alpha: 4, baseModel: 'owner/model' }),
  layers: new Map([
    [
      'h.0.q',
      {
        a: Float32Array.of(1, 0, 0, 0, 1, 0),
        b: Float32Array.of(1.5, 0, 0, -2, 0, 0),
        rank: 2,
        inFeatures: 3,
        outFeatures: 3,
      },
    ],
  ]),
};

async function inspect(adapter: typeof diagonal, changed: object = {}): Promise<AdapterReport> {
  const files = serializeAdapter(adapter);
  const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as object;
  return inspectAdapter({
    config: { ...config, ...changed },
    weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
    name: 'here',
  });
}

test('norm, singular values and effective rank of a known ΔW', async () => {
  const report = await inspect(diagonal);
  const [layer] = report.layers;
  expect(layer).toMatchObject({
    path: 'h.0.q',
    kind: 'linear',
    rank: 2,
    inFeatures: 3,
    outFeatures: 3,
    scaling: 2,
    dtype: 'F32',
    parameters: 12,
  });
  expect(layer?.singularValues[0]).toBeCloseTo(4, 12);
  expect(layer?.singularValues[1]).toBeCloseTo(3, 12);
  expect(layer?.norm).toBeCloseTo(5, 12);
  // Shares 4/7 and 3/7.
  expect(layer?.effectiveRank).toBeCloseTo(Math.exp(-(4 / 7) * Math.log(4 / 7) - (3 / 7) * Math.log(3 / 7)), 12);
  expect(report).toMatchObject({
    method: 'LoRA',
    peftType: 'LORA',
    baseModel: 'owner/model',
    taskType: 'CAUSAL_LM',
    parameters: 12,
    dtypes: ['F32'],
    others: [],
    refused: [],
    problem: undefined,
  });
});

test("PEFT's own adapters, against ΔW itself", async () => {
  const report = await golden('tied-rslora');
  expect(report).toMatchObject({ method: 'rsLoRA', problem: undefined, refused: [] });
  expect(report.peftVersion).toMatch(/^0\.\d+/);
  expect(report.parameters).toBe(report.layers.reduce((sum, { parameters }) => sum + parameters, 0));
  expect(report.bytes).toBe(readFileSync(`${goldenRoot}adapters/tied-rslora/adapter_model.safetensors`).length);
  for (const { rank, scaling } of report.layers)
    expect(scaling).toBeCloseTo((report.config?.alpha ?? NaN) / Math.sqrt(rank), 12);
  const all = await golden('tied-all');
  expect(new Set(all.layers.map(({ rank }) => rank))).toEqual(new Set([2, 3, 4, 5]));
  const { layers } = await goldenAdapter('tied-all');
  for (const { path, scaling, singularValues, norm } of all.layers) {
    const {
      a = new Float32Array(),
      b = new Float32Array(),
      rank = 0,
      inFeatures = 0,
      outFeatures = 0,
    } = layers.get(path) ?? {};
    const delta = new Float64Array(inFeatures * outFeatures).map((_, at) => {
      let sum = 0;
      for (let k = 0; k < rank; k++)
        sum +=
          scaling * (b[Math.floor(at / inFeatures) * rank + k] ?? NaN) * (a[k * inFeatures + (at % inFeatures)] ?? NaN);
      return sum;
    });
    truncatedSvd(delta, { rows: outFeatures, columns: inFeatures, rank }).s.forEach((value, k) =>
      expect(singularValues[k]).toBeCloseTo(value, 10),
    );
    expect(norm).toBeCloseTo(Math.hypot(...delta), 10);
  }
});

test('what Lowrank does not have is named, and the rest reported', async () => {
  const report = await golden('tied-qv', {
    use_qalora: true,
    layer_replication: [[0, 2]],
    some_new_key: 5,
    megatron_core: 'megatron.core',
  });
  expect(report.refused).toEqual(
    expect.arrayContaining([
      { setting: 'layer_replication', value: [[0, 2]] },
      { setting: 'use_qalora', value: true },
    ]),
  );
  expect(report.refused.map(({ setting }) => setting)).not.toContain('megatron_core');
  expect(report.problem).toMatch(/layer_replication|use_qalora/);
  expect(report.layers.length).toBe(4);
});

test('another method of PEFT is reported by its name and tensors', async () => {
  const weights = bytesSource(
    serializeSafetensors([{ name: 'prompt_embeddings', dtype: 'F32', shape: [2, 3], data: new Uint8Array(24) }], {}),
  );
  const report = await inspectAdapter({
    config: { peft_type: 'XLORA', base_model_name_or_path: 'owner/model' },
    weights,
    name: 'here',
  });
  expect(report).toMatchObject({
    method: 'XLORA',
    baseModel: 'owner/model',
    config: undefined,
    layers: [],
    others: [{ name: 'prompt_embeddings', dtype: 'F32', shape: [2, 3] }],
    parameters: 6,
    refused: [{ setting: 'peft_type', value: 'XLORA' }],
  });
  expect(report.problem).toContain('peft_type');
});

test('zeros, NaN, and a rank that the configuration denies', async () => {
  const [path, layer] = [...diagonal.layers][0] ?? [];
  if (path === undefined || layer === undefined) throw new Error('none');
  const zero = await inspect({ ...diagonal, layers: new Map([[path, { ...layer, b: new Float32Array(6) }]]) });
  expect(zero.layers[0]).toMatchObject({ norm: 0, effectiveRank: 0, singularValues: [0, 0] });
  const spoilt = await inspect({
    ...diagonal,
    layers: new Map([[path, { ...layer, b: layer.b.map((value, at) => (at === 2 ? NaN : value)) }]]),
  });
  expect(spoilt.layers[0]).toMatchObject({ norm: NaN, effectiveRank: NaN, singularValues: [] });
  expect((await inspect(diagonal, { r: 4 })).problem).toContain('expected rank 4');
});

test('an A alone, and a configuration that makes no sense', async () => {
  const weights = bytesSource(
    serializeSafetensors(
      [{ name: 'base_model.model.q.lora_A.weight', dtype: 'F32', shape: [2, 3], data: new Uint8Array(24) }],
      {},
    ),
  );
  await expect(
    inspectAdapter({ config: { peft_type: 'LORA', target_modules: ['q'] }, weights, name: 'here' }),
  ).rejects.toThrow(expect.objectContaining({ code: 'lora.keys' }));
  await expect(inspectAdapter({ config: [], weights, name: 'here' })).rejects.toThrow(
    expect.objectContaining({ code: 'lora.adapterConfig' }),
  );
  await expect(inspect(diagonal, { lora_alpha: 'x' })).rejects.toThrow(
    expect.objectContaining({ code: 'lora.adapterConfig' }),
  );
});
