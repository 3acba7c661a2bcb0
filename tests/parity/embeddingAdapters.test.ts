import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { LoraEmbedding, loraConfig, readAdapter, serializeAdapter } from '@lowrank/lora';
import type { CausalModel, LossBatch } from '@lowrank/models';
import { loadModel, openFolder } from '@lowrank/models';
import { extractAdapter, injectAdapter, loadAdapter, mergedTensors, mergeIntoModel, withoutAdapters } from '@lowrank/patch';
import type { SafetensorsFile } from '@lowrank/safetensors';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, evaluateReference, grad, mul, readTensor, ReferenceBackend, reshape, tensor } from '@lowrank/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** LoRA on embeddings as PEFT has it: parity/embeddings.py. */
const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));

interface Answers {
  readonly base: string;
  readonly embedding: string;
  readonly plain: { readonly loss: number; readonly tokens: number };
  readonly packed: { readonly loss: number; readonly tokens: number };
}

interface Case {
  readonly answers: Answers;
  readonly file: SafetensorsFile;
  readonly model: CausalModel;
  readonly adapter: LoraAdapter;
}

async function open(name: string): Promise<Case> {
  const answers = JSON.parse(await readFile(`${golden}embeddings/${name}.json`, 'utf8')) as Answers;
  const config: unknown = JSON.parse(await readFile(`${golden}embeddings/${name}/adapter_config.json`, 'utf8'));
  const adapter = await readAdapter({ config, weights: fileSource(`${golden}embeddings/${name}/adapter_model.safetensors`), name });
  return { answers, file: await openSafetensors(fileSource(`${golden}embeddings/${name}.safetensors`)), model: await loadModel(await openFolder(`${golden}${answers.base}`)), adapter };
}

const floats = async (file: SafetensorsFile, key: string): Promise<Float32Array> => new Float32Array(new Uint8Array(await file.read(key)).buffer);

async function batchOf(file: SafetensorsFile, kind: 'plain' | 'packed'): Promise<LossBatch> {
  const read = async (name: string): Promise<Int32Array> => new Int32Array(new Uint8Array(await file.read(`${kind}.${name}`)).buffer);
  const [batch = 0, length = 0] = file.tensors.get(`${kind}.ids`)?.shape ?? [];
  const [ids, positions, labels] = await Promise.all([read('ids'), read('positions'), read('labels')]);
  const bounds = new Int32Array(2 * ids.length);
  for (let at = 0; at < ids.length; at++) {
    const row = at - (at % length);
    let end = at + 1;
    while (end % length !== 0 && positions[end] !== 0) end++;
    bounds.set([at - (positions[at] ?? 0) - row, end - row], 2 * at);
  }
  const rows = (data: Int32Array): Tensor => tensor(data, [batch, length]);
  return { ids: rows(ids), positions: rows(positions), labels: rows(labels.map((_, at) => (at % length === length - 1 ? -100 : (labels[at + 1] ?? -100)))), segments: tensor(bounds, [batch, length, 2]) };
}

async function values(backend: Backend, outputs: Record<string, Tensor>): Promise<Map<string, Float32Array>> {
  const step = compile(backend, () => outputs);
  const results = await step.run();
  const read = await Promise.all(Object.keys(outputs).map(async (name): Promise<[string, Float32Array]> => [name, Float32Array.from((await results[name]) ?? [])]));
  await step.dispose();
  return new Map(read);
}

function expectClose(got: ArrayLike<number> | undefined, want: ArrayLike<number>, share: number): void {
  expect(got?.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  for (let i = 0; i < want.length; i++) expect(Math.abs((got?.[i] ?? NaN) - (want[i] ?? NaN))).toBeLessThanOrEqual(share * scale);
}

const logitsOf = (model: CausalModel, { ids, positions, segments }: LossBatch): Tensor => model.logits(reshape(model.hidden(ids, { positions, segments }), [ids.size, model.shape.hiddenSize]));

describe.each([
  ['the references', (): Promise<Backend> => Promise.resolve(new ReferenceBackend())],
  ['the CPU', (): Promise<Backend> => createCpuBackend()],
])('adapted embeddings by %s', (_, make) => {
  let backend: Backend;
  beforeAll(async () => (backend = await make()));
  afterAll(() => backend.dispose());

  test.each(['gpt2', 'gptNeox', 'llama'])('%s: logits, losses, and the gradient of every matrix', async (name) => {
    const { answers, file, model, adapter } = await open(name);
    const trained = loadAdapter(model, adapter, { outputPath: model.outputPath });
    for (const kind of ['plain', 'packed'] as const) {
      const batch = await batchOf(file, kind);
      const got = await values(backend, { logits: logitsOf(model, batch), loss: model.loss(batch) });
      expectClose(got.get('logits'), await floats(file, `adapter.${kind}.logits`), 1e-5);
      expect(Math.abs((got.get('loss')?.[0] ?? NaN) / answers[kind].tokens / answers[kind].loss - 1)).toBeLessThan(5e-6);
    }
    const loss = mul(model.loss(await batchOf(file, 'plain')), 1 / answers.plain.tokens);
    const gradients = grad(loss, trained.map(({ parameter }) => parameter.tensor));
    const got = await values(backend, Object.fromEntries(trained.map((matrix, at) => [`adapter.grad.base_model.model.${matrix.name}${matrix.name.includes('embedding') ? '' : '.weight'}`, gradients[at] ?? loss])));
    for (const [key, gradient] of got) expectClose(gradient, await floats(file, key), 5e-5);
    expect([...got.keys()].sort()).toEqual([...file.tensors.keys()].filter((key) => key.startsWith('adapter.grad.')).sort());
    model.dispose();
  });

  test('merged and adapted model agree, where the output projection is not tied to the embedding', async () => {
    const { file, model, adapter } = await open('llama');
    const base = (await values(backend, { logits: logitsOf(model, await batchOf(file, 'plain')) })).get('logits') ?? [];
    loadAdapter(model, adapter);
    const off = await values(backend, { logits: withoutAdapters(model, () => model.logits(reshape(model.hidden(tensor(Int32Array.of(1, 2), [1, 2]), { positions: tensor(Int32Array.of(0, 1), [1, 2]) }), [2, model.shape.hiddenSize]))) });
    expect(off.get('logits')?.every(Number.isFinite)).toBe(true);
    expect(await mergeIntoModel(model)).toContain('model.embed_tokens');
    const merged = (await values(backend, { logits: logitsOf(model, await batchOf(file, 'plain')) })).get('logits') ?? [];
    expectClose(merged, await floats(file, 'adapter.plain.logits'), 1e-5);
    expect(merged).not.toEqual(base);
    model.dispose();
  });
});

test.each(['gpt2', 'gptNeox', 'llama', 'gpt2Positions'])('%s: what PEFT saved is saved again, byte by byte', async (name) => {
  const { model, adapter } = await open(name);
  const original = await readFile(`${golden}embeddings/${name}/adapter_model.safetensors`);
  expect(Buffer.compare(Buffer.from(serializeAdapter(adapter)['adapter_model.safetensors'] ?? []), original)).toBe(0);
  loadAdapter(model, adapter);
  const again = await extractAdapter(model, adapter.config);
  expect(again.layers).toEqual(adapter.layers);
  model.dispose();
});

test('a 16-bit embedding as PEFT merges it, every byte', async () => {
  const { answers, file, model, adapter } = await open('gpt2Positions');
  const stored = await openSafetensors(fileSource(`${golden}${answers.base}/model.safetensors`));
  const tensors = [...stored.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape, read: () => stored.read(name) }));
  const merged = mergedTensors(tensors, adapter).find(({ name }) => name === `${answers.embedding}.weight`);
  const want = Buffer.from(await file.read('merged'));
  expect(Buffer.compare(Buffer.from((await merged?.read()) ?? []), want)).toBe(0);
  loadAdapter(model, adapter);
  await mergeIntoModel(model);
  const parameter = new Map(model.namedParameters()).get(`${answers.embedding}.weight`);
  const own = await readTensor(parameter?.tensor ?? tensor([0]));
  expect(Buffer.compare(Buffer.from(own.buffer, own.byteOffset, own.byteLength), want)).toBe(0);
  model.dispose();
});

test('the table that PEFT saves along takes the place of the model’s; one of another size is refused', async () => {
  const { model, adapter } = await open('llama');
  const table = adapter.whole?.get('model.embed_tokens.base_layer.weight');
  if (table === undefined) throw new TypeError('no table');
  const twos = { ...table, data: new Uint8Array(new Float32Array(96 * 24).fill(2).buffer) };
  const small = { ...table, shape: [95, 24], data: twos.data.subarray(0, 95 * 24 * 4) };
  expect(() => loadAdapter(model, { ...adapter, whole: new Map([['model.embed_tokens.base_layer.weight', small]]) })).toThrow(/\[95, 24\], where the model has \[96, 24\]/);
  loadAdapter(model, { ...adapter, whole: new Map([['model.embed_tokens.base_layer.weight', twos]]) });
  const parameter = new Map(model.namedParameters()).get('model.embed_tokens.base_layer.weight');
  expect((await readTensor(parameter?.tensor ?? tensor([0]))).every((value) => value === 2)).toBe(true);
  model.dispose();
});

test('a new one changes nothing, and begins as PEFT has it: A zero, B standard normal', async () => {
  const { model } = await open('gpt2');
  const hidden = async (): Promise<Float64Array | undefined> => (await evaluateReference([model.hidden(tensor(Int32Array.of(3, 9), [1, 2]), { positions: tensor(Int32Array.of(0, 1), [1, 2]) })]))[0];
  const before = await hidden();
  const trained = injectAdapter(model, loraConfig({ targetModules: ['wte'], r: 8, dropout: 0.5 }));
  expect(trained.map(({ name }) => name)).toEqual(['transformer.wte.lora_embedding_A', 'transformer.wte.lora_embedding_B']);
  expect(model.getModule('transformer.wte')).toBeInstanceOf(LoraEmbedding);
  const [a, b] = await evaluateReference(trained.map(({ parameter }) => parameter.tensor));
  expect(a?.every((value) => value === 0)).toBe(true);
  const spread = Math.sqrt(Array.from(b ?? []).reduce((total, value) => total + value * value, 0) / (b?.length ?? 1));
  expect(spread).toBeGreaterThan(0.8);
  expect(spread).toBeLessThan(1.2);
  expect(await hidden()).toEqual(before);
  expect(() => injectAdapter(model, loraConfig({ targetModules: ['ln_f'] }), { name: 'other' })).toThrow(/linear layers and embeddings alone/);
  model.dispose();
});

test('halves of both kinds, and a table without an adapted embedding, are refused', async () => {
  const { adapter } = await open('gpt2Positions');
  const file = serializeAdapter(adapter)['adapter_model.safetensors'] ?? new Uint8Array();
  const text = Buffer.from(file).toString('latin1');
  const read = (bytes: string): Promise<LoraAdapter> => readAdapter({ config: { peft_type: 'LORA', target_modules: ['wpe'], r: 3 }, weights: bytesSource(Buffer.from(bytes, 'latin1'), 'adapter'), name: 'here' });
  await expect(read(text)).resolves.toMatchObject({ layers: { size: 1 } });
  await expect(read(text.replace('wpe.lora_embedding_A', 'wpf.lora_embedding_A'))).rejects.toThrow(/only lora_A/);
  await expect(read(text.replace('wpe.lora_embedding_A', 'wpe.lora_A.weight   '.trimEnd().padEnd(20)))).rejects.toThrow(/wpe\.lora_A\.weight/);
});
