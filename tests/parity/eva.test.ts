import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createCpuBackend } from '@lowrank/cpu';
import { packBatch, padBatch } from '@lowrank/data';
import type { EncodedRow, TokenBatch } from '@lowrank/data';
import type { LoraAdapter, LoraConfig } from '@lowrank/lora';
import { loraConfig, readAdapter, serializeAdapter, serializeAdapterConfig } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadModel, openFolder } from '@lowrank/models';
import type { InputBatch, NamedParameter } from '@lowrank/patch';
import { attachAdapter, extractAdapter, injectEva, mergeIntoModel } from '@lowrank/patch';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, reshape, tensor } from '@lowrank/tensor';
import { train } from '@lowrank/trainer';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** PEFT's EVA on the same rows: parity/eva.py. */
const golden = fileURLToPath(new URL('../../parity/golden/', import.meta.url));
const names = ['eva', 'evaPattern', 'evaDropped', 'evaWhiten', 'evaConv1d'];

interface Answers {
  readonly base: string;
  readonly passes: number;
  readonly targets: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly eva: Readonly<Record<string, unknown>>;
  readonly losses: readonly number[];
}

interface Case {
  readonly answers: Answers;
  readonly file: SafetensorsFile;
  readonly theirs: LoraAdapter;
  readonly model: CausalModel;
  /** As the user gave it, before any rank was moved. */
  readonly config: LoraConfig;
}

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const camel = (settings: Readonly<Record<string, unknown>>): Record<string, unknown> => Object.fromEntries(Object.entries(settings).map(([key, value]) => [key.replace('lora_', '').replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), value]));

async function open(name: string): Promise<Case> {
  const answers = JSON.parse(await readFile(`${golden}eva/${name}.json`, 'utf8')) as Answers;
  const folder = `${golden}eva/${name}`;
  const theirs = await readAdapter({ config: JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as unknown, weights: fileSource(`${folder}/adapter_model.safetensors`), name });
  const config = loraConfig({ ...camel(answers.config), targetModules: answers.targets, init: 'eva', eva: camel(answers.eva) as unknown as LoraConfig['eva'], taskType: 'CAUSAL_LM' });
  return { answers, theirs, config, file: await openSafetensors(fileSource(`${golden}eva/${name}.safetensors`)), model: await loadModel(await openFolder(`${golden}${answers.base}`)) };
}

interface Run {
  readonly learningRate: number;
  readonly rows: readonly { readonly ids: readonly number[]; readonly labels: readonly number[] }[];
}

const runOf = async (): Promise<Run> => JSON.parse(await readFile(`${golden}variants/rows.json`, 'utf8')) as Run;

async function rowsOf(): Promise<EncodedRow[]> {
  return (await runOf()).rows.map(({ ids, labels }, at) => ({ line: at + 1, ids: Int32Array.from(ids), labels: Int32Array.from(labels), labelTokens: labels.slice(1).filter((label) => label >= 0).length, fullLength: ids.length, promptIsPrefix: true }));
}

/** PEFT goes by the labels as they stand beside the ids: the token itself is to be learned. */
function inputBatch(rows: readonly EncodedRow[], useLabelMask: boolean, layOut: (rows: readonly EncodedRow[]) => TokenBatch = packBatch): InputBatch {
  const { batch, length, ids, positions, segments } = layOut(rows);
  const shape = [batch, length];
  const inputs = { ids: { data: ids, shape }, positions: { data: positions, shape }, segments: { data: segments, shape: [...shape, 2] } };
  return { inputs, counted: layOut(rows.map((row) => ({ ...row, ids: row.labels.map((label) => (useLabelMask && label === -100 ? 0 : 1)) }))).ids };
}

async function begin({ model, config }: Case, batches: readonly InputBatch[], memory?: number): Promise<{ config: LoraConfig; parameters: NamedParameter[] }> {
  return injectEva(model, config, { backend, batches: () => batches, memory, forward: ({ ids, positions, segments }) => ids !== undefined && positions !== undefined && model.hidden(ids, { positions, segments }) });
}

async function logitsOf(model: CausalModel): Promise<Float32Array> {
  const ids = Int32Array.from((await runOf()).rows[0]?.ids ?? []);
  const positions = tensor(ids.map((_, at) => at), [1, ids.length]);
  const step = compile(backend, () => ({ value: model.logits(reshape(model.hidden(tensor(ids, [1, ids.length]), { positions }), [ids.length, model.shape.hiddenSize])) as Tensor }));
  const all = Float32Array.from(await (await step.run()).value);
  await step.dispose();
  const width = all.length / ids.length;
  return all.filter((_, at) => Math.floor(at / width) % 4 === 0);
}

const floats = async (file: SafetensorsFile, key: string): Promise<Float32Array> => new Float32Array(new Uint8Array(await file.read(key)).buffer);

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, share: number): void {
  expect(got.length).toBe(want.length);
  const scale = Math.max(...Array.from(want, Math.abs));
  expect(Math.max(...Array.from(want, (value, at) => Math.abs((got[at] ?? NaN) - value)))).toBeLessThanOrEqual(share * scale);
}

/** AᵀA [in, in]: whatever the signs. */
function projector(a: Float32Array, width: number): Float64Array {
  const rank = a.length / width;
  return Float64Array.from({ length: width * width }, (_, at) => {
    let total = 0;
    for (let k = 0; k < rank; k++) total += (a[k * width + Math.floor(at / width)] ?? NaN) * (a[k * width + (at % width)] ?? NaN);
    return total;
  });
}

test.each(names)('%s: PEFT’s ranks, alphas, targets and subspaces; its losses, logits and merge; its file', async (name) => {
  const opened = await open(name);
  const { answers, file, theirs, model } = opened;
  const base = await logitsOf(model);
  const { config, parameters } = await begin(opened, [inputBatch(await rowsOf(), opened.config.eva?.useLabelMask ?? true)]);
  const { targetModules, rankPattern, alphaPattern, eva, init } = theirs.config;
  expect({ targetModules: config.targetModules, rankPattern: config.rankPattern, alphaPattern: config.alphaPattern, eva: config.eva, init: config.init }).toEqual({ targetModules, rankPattern, alphaPattern, eva, init });
  expect(init).toBe('eva');
  const ours = await extractAdapter(model, config);
  expect([...ours.layers.keys()].sort()).toEqual([...theirs.layers.keys()].sort());
  // Whitened, A is shorter by the fourth root of how often PEFT went through its data.
  const factor = config.eva?.whiten === true ? Math.sqrt(answers.passes) : 1;
  for (const [path, { a, inFeatures, rank, b }] of ours.layers) {
    const want = theirs.layers.get(path);
    expect([path, rank]).toEqual([path, want?.rank]);
    expect(b.every((value) => value === 0)).toBe(true);
    expectClose(projector(a, inFeatures).map((value) => value / factor), projector(want?.a ?? a, inFeatures), path.includes('down_proj') ? 1e-2 : 2e-4);
  }
  const original = await openSafetensors(fileSource(`${golden}eva/${name}/adapter_model.safetensors`));
  const written = await openSafetensors(bytesSource(serializeAdapter(ours)['adapter_model.safetensors'] ?? new Uint8Array()));
  const shapes = ({ tensors }: SafetensorsFile): unknown => new Map([...tensors].map(([key, { shape, dtype }]) => [key, [shape, dtype]]));
  expect(shapes(written)).toEqual(shapes(original));
  const saved = JSON.parse(serializeAdapterConfig(config)) as Record<string, unknown>;
  const wanted = JSON.parse(await readFile(`${golden}eva/${name}/adapter_config.json`, 'utf8')) as Record<string, unknown>;
  for (const key of ['init_lora_weights', 'eva_config', 'rank_pattern', 'alpha_pattern', 'r', 'lora_alpha', 'use_dora', 'use_rslora', 'target_modules']) expect([key, saved[key]]).toEqual([key, wanted[key]]);
  expectClose(await logitsOf(model), base, 1e-6);
  expectClose(base, await floats(file, 'logits.start'), 2e-5);
  if (factor !== 1) return;
  await expectTraining(opened, parameters);
  model.dispose();
});

async function expectTraining({ model, answers, file }: Case, parameters: readonly NamedParameter[]): Promise<void> {
  const batch = packBatch(await rowsOf());
  const losses: number[] = [];
  const { learningRate } = await runOf();
  await train({ createSession: () => ({ backend, loss: (given) => model.loss(given), parameters }), windows: (function* () { for (;;) yield [batch]; })(), steps: answers.losses.length, learningRate, clip: 0, onEvent: (event) => void (event.type === 'step' && losses.push(event.loss)) });
  losses.forEach((got, at) => expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(1e-4));
  expectClose(await logitsOf(model), await floats(file, 'logits.trained'), 1e-4);
  await mergeIntoModel(model);
  expectClose(await logitsOf(model), await floats(file, 'logits.merged'), 1e-4);
}

test.each(names)('%s: what PEFT saved is loaded, trained on as PEFT does, and saved again byte by byte', async (name) => {
  const opened = await open(name);
  const { theirs, model } = opened;
  const parameters = await attachAdapter(model, theirs);
  const again = serializeAdapter(await extractAdapter(model, theirs.config));
  expect(Buffer.compare(Buffer.from(again['adapter_model.safetensors'] ?? []), await readFile(`${golden}eva/${name}/adapter_model.safetensors`))).toBe(0);
  await expectTraining(opened, parameters);
  model.dispose();
});

test('neither batches nor padding nor the memory at hand change the directions; q, k and v are measured once', async () => {
  const rows = await rowsOf();
  const results: LoraAdapter[] = [];
  const small = 4 * 24 ** 2;
  for (const [batches, memory] of [[[inputBatch(rows, true)]], [[inputBatch(rows, true, padBatch)]], [rows.map((row) => inputBatch([row], true)).reverse()], [[inputBatch(rows, true)], small]] as const) {
    const opened = await open('eva');
    const { config } = await begin(opened, batches, memory);
    results.push(await extractAdapter(opened.model, config));
    const layer = (path: string): Float32Array | undefined => results.at(-1)?.layers.get(`model.layers.0.${path}`)?.a;
    expect(layer('self_attn.k_proj')).toEqual(layer('self_attn.q_proj'));
    expect(layer('self_attn.o_proj')).not.toEqual(layer('self_attn.q_proj'));
    opened.model.dispose();
  }
  const [first, ...others] = results;
  for (const { config, layers } of others) {
    expect(config).toEqual(first?.config);
    for (const [path, { a, inFeatures }] of layers) expectClose(projector(a, inFeatures), projector(first?.layers.get(path)?.a ?? new Float32Array(), inFeatures), 1e-4);
  }
});
