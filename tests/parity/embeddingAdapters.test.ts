import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { LoraEmbedding, loraConfig, readAdapter, serializeAdapter } from '@lowrank/lora';
import { activateAdapter, addAdapter, loadAdapter, mergeAdapter, mergedTensors, saveAdapter } from '@lowrank/patch';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend } from '@lowrank/tensor';
import { readTensor, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  batchOf,
  expectClose,
  expectEmbeddingParity,
  floats,
  golden,
  logitsOf,
  openCase,
  values,
} from './embeddingCases.js';

describe.each([
  ['the references', (): Promise<Backend> => Promise.resolve(new ReferenceBackend())],
  ['the CPU', (): Promise<Backend> => createCpuBackend()],
])('adapted embeddings by %s', (_, make) => {
  let backend: Backend;
  beforeAll(async () => (backend = await make()));
  afterAll(() => backend.dispose());

  test.each(['gpt2', 'gptNeox', 'llama'])('%s: logits, losses, and the gradient of every matrix', (name) =>
    expectEmbeddingParity(backend, name),
  );

  test('merged and adapted model agree, where the output projection is not tied to the embedding', async () => {
    const { file, model, adapter } = await openCase('llama');
    const batch = await batchOf(file, 'plain');
    const base = (await values(backend, { logits: logitsOf(model, batch) })).get('logits') ?? [];
    await loadAdapter(model, adapter);
    const off = (await values(backend, { logits: activateAdapter(model, [], () => logitsOf(model, batch)) })).get(
      'logits',
    );
    expect(off).toEqual(base);
    expect(await mergeAdapter(model)).toContain('model.embed_tokens');
    const merged = (await values(backend, { logits: logitsOf(model, batch) })).get('logits') ?? [];
    expectClose(merged, await floats(file, 'adapter.plain.logits'), 1e-5);
    expect(merged).not.toEqual(base);
    model.dispose();
  });
});

test.each(['gpt2', 'gptNeox', 'llama', 'gpt2Positions'])(
  '%s: what PEFT saved is saved again, byte by byte',
  async (name) => {
    const { model, adapter } = await openCase(name);
    const original = await readFile(`${golden}embeddings/${name}/adapter_model.safetensors`);
    expect(Buffer.compare(Buffer.from(serializeAdapter(adapter)['adapter_model.safetensors'] ?? []), original)).toBe(0);
    await loadAdapter(model, adapter);
    const again = await saveAdapter(model);
    expect(again.layers).toEqual(adapter.layers);
    model.dispose();
  },
);

test('a 16-bit embedding as PEFT merges it, every byte', async () => {
  const { answers, file, model, adapter } = await openCase('gpt2Positions');
  const stored = await openSafetensors(fileSource(`${golden}${answers.base}/model.safetensors`));
  const tensors = [...stored.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    read: () => stored.read(name),
  }));
  const merged = mergedTensors(tensors, adapter).find(({ name }) => name === `${answers.embedding}.weight`);
  const want = Buffer.from(await file.read('merged'));
  expect(Buffer.compare(Buffer.from((await merged?.read()) ?? []), want)).toBe(0);
  await loadAdapter(model, adapter);
  await mergeAdapter(model);
  const parameter = new Map(model.namedParameters()).get(`${answers.embedding}.base_layer.weight`);
  const own = await readTensor(parameter?.tensor ?? tensor([0]));
  expect(Buffer.compare(Buffer.from(own.buffer, own.byteOffset, own.byteLength), want)).toBe(0);
  model.dispose();
});

test('the table that PEFT saves along takes the place of the model’s; one of another size is refused', async () => {
  const { model, adapter } = await openCase('llama');
  const table = adapter.whole?.get('model.embed_tokens.base_layer.weight');
  if (table === undefined) throw new TypeError('no table');
  const twos = { ...table, data: new Uint8Array(new Float32Array(96 * 24).fill(2).buffer) };
  const small = { ...table, shape: [95, 24], data: twos.data.subarray(0, 95 * 24 * 4) };
  await expect(
    loadAdapter(model, { ...adapter, whole: new Map([['model.embed_tokens.base_layer.weight', small]]) }),
  ).rejects.toThrow(/\[95, 24\], where the model has \[96, 24\]/);
  await loadAdapter(model, { ...adapter, whole: new Map([['model.embed_tokens.base_layer.weight', twos]]) });
  const parameter = new Map(model.namedParameters()).get('model.embed_tokens.base_layer.weight');
  expect((await readTensor(parameter?.tensor ?? tensor([0]))).every((value) => value === 2)).toBe(true);
  model.dispose();
});

test('a new one changes nothing, and begins as PEFT has it: A zero, B standard normal', async () => {
  const { model } = await openCase('gpt2');
  const hidden = async (): Promise<Float64Array | undefined> =>
    (
      await evaluateReference([
        model.hidden(tensor(Int32Array.of(3, 9), [1, 2]), { positions: tensor(Int32Array.of(0, 1), [1, 2]) }),
      ])
    )[0];
  const before = await hidden();
  const { parameters: trained } = await addAdapter(model, loraConfig({ targetModules: ['wte'], r: 8, dropout: 0.5 }));
  expect(trained.map(({ name }) => name)).toEqual([
    'transformer.wte.lora_embedding_A',
    'transformer.wte.lora_embedding_B',
  ]);
  expect(model.getModule('transformer.wte')).toBeInstanceOf(LoraEmbedding);
  const [a, b] = await evaluateReference(trained.map(({ parameter }) => parameter.tensor));
  expect(a?.every((value) => value === 0)).toBe(true);
  const spread = Math.sqrt(Array.from(b ?? []).reduce((total, value) => total + value * value, 0) / (b?.length ?? 1));
  expect(spread).toBeGreaterThan(0.8);
  expect(spread).toBeLessThan(1.2);
  expect(await hidden()).toEqual(before);
  await expect(addAdapter(model, loraConfig({ targetModules: ['ln_f'] }), { name: 'other' })).rejects.toThrow(
    /only linear layers and embeddings/,
  );
  model.dispose();
});

test('halves of both kinds, and a table without an adapted embedding, are refused', async () => {
  const { adapter } = await openCase('gpt2Positions');
  const file = serializeAdapter(adapter)['adapter_model.safetensors'] ?? new Uint8Array();
  const text = Buffer.from(file).toString('latin1');
  const read = (bytes: string): Promise<LoraAdapter> =>
    readAdapter({
      config: { peft_type: 'LORA', target_modules: ['wpe'], r: 3 },
      weights: bytesSource(Buffer.from(bytes, 'latin1'), 'adapter'),
      name: 'here',
    });
  await expect(read(text)).resolves.toMatchObject({ layers: { size: 1 } });
  await expect(read(text.replace('wpe.lora_embedding_A', 'wpf.lora_embedding_A'))).rejects.toThrow(/only lora_A/);
  await expect(read(text.replace('wpe.lora_embedding_A', 'wpe.lora_A.weight   '.trimEnd().padEnd(20)))).rejects.toThrow(
    /wpe\.lora_A\.weight/,
  );
});
