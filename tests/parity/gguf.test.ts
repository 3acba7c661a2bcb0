import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gguf } from '@huggingface/gguf';
import type { GGUFTypedMetadata } from '@huggingface/gguf';
import { loadTokenizer } from '@lowrank/data';
import { convertAdapter, convertModel, writeGguf } from '@lowrank/gguf';
import type { GgufFile, Json, ModelToConvert, VocabularyFiles } from '@lowrank/gguf';
import { readAdapter, scalingAt } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { findFamily, openFolder, openWeights } from '@lowrank/models';
import { mergedTensors } from '@lowrank/patch';
import { writeFileAtomic } from '@lowrank/files';
import { fileSource } from '@lowrank/safetensors';
import { afterAll, describe, expect, test } from 'vitest';

const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));
const llama = join(golden, 'llama');
const scratch = mkdtempSync(join(tmpdir(), 'lowrank-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** [type, value] or [ARRAY, type, values], as the gguf package of Python reads them. */
type GoldenValue = [string, ...unknown[]];
interface GoldenFile {
  metadata: Record<string, GoldenValue>;
  tensors: Record<string, [type: string, shape: number[], sha256: string]>;
}

const json = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
const goldens = (name: string): Record<string, GoldenFile> => json(join(golden, 'gguf', `${name}.json`));
const valueTypes = ['UINT8', 'INT8', 'UINT16', 'INT16', 'UINT32', 'INT32', 'FLOAT32', 'BOOL', 'STRING', 'ARRAY'];

/** Writes a file and reads it back with Hugging Face's reader, in the terms of the goldens. */
async function written(file: GgufFile): Promise<GoldenFile & { bytes(name: string): Uint8Array }> {
  const path = join(scratch, 'out.gguf');
  await writeFileAtomic(path, writeGguf(file));
  const all = readFileSync(path);
  const read = await gguf(path, { allowLocalFile: true, typedMetadata: true });
  const metadata: Record<string, GoldenValue> = {};
  for (const [key, entry] of Object.entries(read.typedMetadata as GGUFTypedMetadata)) {
    if (['version', 'tensor_count', 'kv_count'].includes(key)) continue;
    const { type, subType, value } = entry as { type: number; subType?: number; value: unknown };
    metadata[key] = [valueTypes[type] ?? '?', ...(subType === undefined ? [] : [valueTypes[subType] ?? '?']), value];
  }
  const bytes = (name: string): Uint8Array => {
    const info = read.tensorInfos.find((each) => each.name === name);
    if (info === undefined) throw new Error(`no tensor ${name}`);
    const start = Number(read.tensorDataOffset) + Number(info.offset);
    expect(start % 32).toBe(0);
    return all.subarray(
      start,
      start + info.shape.reduce((product, size) => product * Number(size), info.dtype === 1 ? 2 : 4),
    );
  };
  const tensors = Object.fromEntries(
    read.tensorInfos.map(({ name, dtype, shape }) => [
      name,
      [dtype === 1 ? 'F16' : 'F32', shape.map(Number), createHash('sha256').update(bytes(name)).digest('hex')] as [
        string,
        number[],
        string,
      ],
    ]),
  );
  return { metadata, tensors, bytes };
}

/** A tiny Llama, or a model of another family. */
const modelFolder = (name: string): string =>
  existsSync(join(llama, name)) ? join(llama, name) : join(golden, 'families', name);
const adapterFolder = (name: string): string =>
  existsSync(join(llama, 'adapters', name)) ? join(llama, 'adapters', name) : join(golden, 'families', name, 'adapter');

async function adapterOf(name: string, change: (config: Json) => Json = (config) => config): Promise<LoraAdapter> {
  const folder = adapterFolder(name);
  return readAdapter({
    config: change(json<Json>(join(folder, 'adapter_config.json'))),
    weights: fileSource(join(folder, 'adapter_model.safetensors')),
    name,
  });
}

const optional = <T>(path: string, read: (path: string) => T): T | undefined =>
  existsSync(path) ? read(path) : undefined;

function vocabularyOf(folder: string): VocabularyFiles {
  const tokenizerJson = optional(join(folder, 'tokenizer.json'), (path) => json<Json>(path));
  const tokenizerConfig = optional(join(folder, 'tokenizer_config.json'), (path) => json<Json>(path));
  return {
    tokenizerJson,
    tokenizerConfig,
    tokenizerModel: optional(join(folder, 'tokenizer.model'), (path) => new Uint8Array(readFileSync(path))),
    addedTokens: optional(join(folder, 'added_tokens.json'), (path) => json<Json>(path)),
    chatTemplate: optional(join(folder, 'chat_template.jinja'), (path) => readFileSync(path, 'utf8')),
    tokenizer: tokenizerJson === undefined ? undefined : loadTokenizer(tokenizerJson, tokenizerConfig),
    // The goldens' converter was told so too: it has never seen these tiny vocabularies.
    preTokenizer: 'llama-bpe',
  };
}

/** A model's config, and how llama.cpp knows its family. */
function described(folder: string): Pick<ModelToConvert, 'config' | 'architecture'> {
  const config = json<Json>(join(folder, 'config.json'));
  return { config, architecture: findFamily(config['model_type'])?.llamaCpp };
}

async function modelOf(variant: string, adapter?: LoraAdapter): Promise<GgufFile> {
  const folder = modelFolder(variant);
  const stored = await openWeights(await openFolder(folder));
  const tensors = [...stored.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype: dtype as string,
    shape,
    read: () => stored.read(name),
  }));
  return convertModel({
    ...described(folder),
    tensors: adapter === undefined ? tensors : mergedTensors(tensors, adapter),
    vocabulary: vocabularyOf(existsSync(join(folder, 'tokenizer.json')) ? folder : join(llama, 'tied')),
    name: variant,
  });
}

/** Names are heuristics of the folder's name there. */
const told = (metadata: Record<string, GoldenValue>): Record<string, GoldenValue> =>
  Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !/^general\.(name|basename|version|finetune|size_label)$/.test(key)),
  );

const models = goldens('models');

describe.each(Object.keys(models).filter((name) => name !== 'madeBy'))('the model %s', (name) => {
  test('has the tensors and the metadata that convert_hf_to_gguf.py makes', async () => {
    const expected = models[name];
    const [, of, adapter] = /^merged-((\w+)-\w+)$/.exec(name) ?? [];
    const made = await written(
      adapter === undefined ? await modelOf(name) : await modelOf(adapter, await adapterOf(of ?? '')),
    );
    expect(made.tensors).toEqual(expected?.tensors);
    const metadata = Object.entries(told(made.metadata)).filter(
      ([key]) => name === 'tied' || !key.startsWith('tokenizer.'),
    );
    expect(Object.fromEntries(metadata)).toEqual(told(expected?.metadata ?? {}));
    if (expected?.metadata['general.size_label'] !== undefined)
      expect(made.metadata['general.size_label']).toEqual(expected.metadata['general.size_label']);
  });
});

const adapters = goldens('adapters');

test.each(Object.keys(adapters).filter((name) => name !== 'madeBy'))('the adapter %s', async (name) => {
  const adapter = await adapterOf(name);
  const made = await written(convertAdapter({ adapter, ...described(modelFolder(name.split('-')[0] ?? '')), name }));
  const expected = adapters[name];
  const alpha = made.metadata['adapter.lora.alpha']?.[1] as number;
  // What llama.cpp adds, alpha/rank times B·A, is PEFT's in every layer.
  for (const [path, { b, rank }] of adapter.layers) {
    const tensor =
      Object.keys(expected?.tensors ?? {}).find(
        (key) => pathOf(key) === path.replace('gate_up_proj', 'up_proj') && key.endsWith('.lora_b'),
      ) ?? path;
    const bytes = made.bytes(tensor);
    const largest = (values: Float32Array): number =>
      values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const ours =
      largest(
        new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer),
      ) *
      (alpha / rank);
    expect(ours / (largest(b) * scalingAt(adapter.config, path))).toBeCloseTo(1, 6);
  }
  // With unlike factors B takes up the difference: there, and only there, it is not the converter's, which leaves the
  // difference out.
  const unlike = [...adapter.layers]
    .filter(([path, { rank }]) => Math.abs(scalingAt(adapter.config, path) * rank - alpha) > 1e-5)
    .map(([path]) => path);
  const kept = (tensors: GoldenFile['tensors']): GoldenFile['tensors'] =>
    Object.fromEntries(
      Object.entries(tensors).map(([key, [type, shape, hash]]) => [
        key,
        [type, shape, key.endsWith('.lora_b') && unlike.includes(pathOf(key)) ? '' : hash] as const,
      ]),
    ) as GoldenFile['tensors'];
  expect(unlike.length).toBeLessThan(adapter.layers.size / 2);
  expect(kept(made.tensors)).toEqual(kept(expected?.tensors ?? {}));
  const { 'adapter.lora.alpha': ours, ...metadata } = told(made.metadata);
  const { 'adapter.lora.alpha': theirs, ...rest } = told(expected?.metadata ?? {});
  expect(metadata).toEqual(rest);
  if (!adapter.config.useRslora) expect(ours).toEqual(theirs);
});

test("rsLoRA of one rank: the converter's tensors, and alpha √r times as large", async () => {
  const adapter = await adapterOf('tied-qv', (config) => ({ ...config, use_rslora: true }));
  const made = await written(convertAdapter({ adapter, ...described(join(llama, 'tied')), name: 'rslora' }));
  expect(made.tensors).toEqual(adapters['tied-qv']?.tensors);
  expect(made.metadata['adapter.lora.alpha']).toEqual(['FLOAT32', 8 * Math.sqrt(4)]);
});

const vocabularies = json<Record<string, Record<string, GoldenValue>>>(join(golden, 'gguf/vocabularies.json'));

async function vocabularyMade(name: string): Promise<Record<string, GoldenValue>> {
  const folder = join(golden, 'gguf/vocabularies', name);
  const made = await written(
    await convertModel({
      ...described(folder),
      tensors: [],
      vocabulary: vocabularyOf(folder),
      name,
    }),
  );
  return Object.fromEntries(Object.entries(made.metadata).filter(([key]) => key.startsWith('tokenizer.')));
}

test.each(['sentencePiece', 'byteLevel'])('the vocabulary %s', async (name) => {
  expect(await vocabularyMade(name)).toEqual(vocabularies[name]);
});

test('the vocabulary byteFallback: all but the scores', async () => {
  const { 'tokenizer.ggml.scores': scores, ...rest } = await vocabularyMade('byteFallback');
  const { 'tokenizer.ggml.scores': theirs, ...expected } = vocabularies['byteFallback'] ?? {};
  expect(rest).toEqual(expected);
  // The converter gives every token of such a vocabulary one score, and llama.cpp then joins the leftmost pair; ours
  // follow the merges: ▁t, he, ▁the.
  expect(new Set(theirs?.[2] as number[])).toEqual(new Set([-1000]));
  const tokens = rest['tokenizer.ggml.tokens']?.[2] as string[];
  const ours = scores?.[2] as number[];
  expect(['\u2581t', 'he', '\u2581the', '\u2581'].map((token) => ours[tokens.indexOf(token)])).toEqual([
    0, -1, -2, -1000,
  ]);
});

/** blk.3.attn_q.weight.lora_b → model.layers.3.self_attn.q_proj */
function pathOf(name: string): string {
  const [, layer = '', part = ''] = /^blk\.(\d+)\.(\w+)\.weight/.exec(name) ?? [];
  const parts: Record<string, string> = {
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_qkv: 'self_attn.qkv_proj',
    attn_output: 'self_attn.o_proj',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  };
  return `model.layers.${layer}.${parts[part] ?? ''}`;
}
