import type { TrainedParameter } from '@lowrank/nn';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readAdapter } from '@lowrank/lora';
import type { CausalModel, LossBatch } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { activateAdapter, loadAdapter, matchTargets } from '@lowrank/patch';
import { fileSource, openSafetensors } from '@lowrank/safetensors';
import type { SafetensorsFile } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { add, compile, grad, mul, reshape, Rng, sqrt, tensor } from '@lowrank/tensor';
import { squaredNorm } from '@lowrank/tensor/op';
import { expect } from 'vitest';

const golden = fileURLToPath(new URL('../../parity/golden/families/', import.meta.url));

export const familyFolder = (name: string): string => `${golden}${name}`;

/** Every tiny checkpoint of parity/families.py: a new folder there is a new case here. */
export const goldenFamilies: readonly string[] = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

/** Whether rotary frequencies depend on the length of the row, whatever documents it holds. */
export function dependsOnLength(name: string): boolean {
  const config = JSON.parse(readFileSync(`${familyFolder(name)}/config.json`, 'utf8')) as {
    readonly rope_parameters?: { readonly rope_type?: string };
  };
  return config.rope_parameters?.rope_type === 'dynamic';
}

interface Answers {
  readonly tokens: number;
  readonly base: { readonly loss: number; readonly gradNorms: Readonly<Record<string, number>> };
  readonly adapter: { readonly loss: number };
}

async function openAdapted(folder: string): Promise<{ model: CausalModel; trained: readonly TrainedParameter[] }> {
  const model = await loadCausalModel(await openFolder(folder));
  const config: unknown = JSON.parse(await readFile(`${folder}/adapter/adapter_config.json`, 'utf8'));
  const adapter = await readAdapter({
    config,
    weights: fileSource(`${folder}/adapter/adapter_model.safetensors`),
    name: folder,
  });
  return { model, trained: (await loadAdapter(model, adapter)).parameters };
}

/** Rows of one document each. */
async function batchOf(file: SafetensorsFile): Promise<LossBatch> {
  const read = async (name: string): Promise<Int32Array> =>
    new Int32Array(new Uint8Array(await file.read(name)).buffer);
  const [batch = 0, length = 0] = file.tensors.get('ids')?.shape ?? [];
  const [ids, labels] = await Promise.all([read('ids'), read('labels')]);
  const shifted = labels.map((_, at) => (at % length === length - 1 ? -100 : (labels[at + 1] ?? -100)));
  const rows = (data: Int32Array): Tensor => tensor(data, [batch, length]);
  const bounds = Int32Array.from({ length: 2 * batch * length }, (_, at) => (at % 2) * length);
  return {
    ids: rows(ids),
    positions: rows(ids.map((_, at) => at % length)),
    labels: rows(shifted),
    segments: tensor(bounds, [batch, length, 2]),
  };
}

function logitsOf(
  model: CausalModel,
  ids: Tensor,
  { positions, segments }: Pick<LossBatch, 'positions'> & { segments?: Tensor },
): Tensor {
  return model.logits(reshape(model.hidden(ids, { positions, segments }), [ids.size, model.shape.hiddenSize]));
}

/**
 * Logits within 1e-4, the loss within 1e-4 and the gradient of each adapter matrix within 1e-3 of its size, of
 * transformers and PEFT; planned and fused.
 */
export async function expectFamilyParity(backend: Backend, name: string): Promise<void> {
  const folder = familyFolder(name);
  const file = await openSafetensors(fileSource(`${folder}/answers.safetensors`));
  const { tokens, base, adapter } = JSON.parse(await readFile(`${folder}/answers.json`, 'utf8')) as Answers;
  const floats = async (key: string): Promise<Float32Array> =>
    new Float32Array(new Uint8Array(await file.read(key)).buffer);
  const { model, trained } = await openAdapted(folder);
  const batch = await batchOf(file);
  const short = await shortRows(file);
  const step = compile(backend, () => {
    const loss = mul(model.loss(batch), 1 / tokens);
    const gradients = grad(
      loss,
      trained.map(({ parameter }) => parameter.tensor),
    );
    const off = activateAdapter(model, [], () => ({
      'base.logits': logitsOf(model, batch.ids, batch),
      'base.short': logitsOf(model, short.ids, short),
      baseLoss: mul(model.loss(batch), 1 / tokens),
    }));
    return {
      loss,
      ...off,
      'adapter.logits': logitsOf(model, batch.ids, batch),
      ...Object.fromEntries(
        trained.map((matrix, at) => [`grad.base_model.model.${matrix.name}.weight`, gradients[at] ?? loss]),
      ),
    };
  });
  const results = new Map<string, Float32Array>();
  for (const [key, value] of Object.entries(await step.run())) results.set(key, Float32Array.from(await value));
  expect(Math.abs((results.get('loss')?.[0] ?? NaN) / adapter.loss - 1)).toBeLessThan(1e-5);
  expect(Math.abs((results.get('baseLoss')?.[0] ?? NaN) / base.loss - 1)).toBeLessThan(1e-5);
  for (const key of ['base.logits', 'base.short', 'adapter.logits'])
    expectLogits(results.get(key), await floats(key), `${name}, ${key}`);
  const keys = [...file.tensors.keys()].filter((key) => key.startsWith('grad.'));
  for (const key of keys) expectGradient(results.get(key), await floats(key), `${name}, ${key}`);
  expect(trained.length).toBe(keys.length);
  // What 'all-linear' is to PEFT it is here.
  const adapted = keys.map((key) => key.replace(/^grad\.base_model\.model\.|\.lora_[AB]\.weight$/g, ''));
  expect(new Set(adapted)).toEqual(new Set(matchTargets(model, { targetModules: 'all-linear' }).keys()));
  await step.dispose();
  model.dispose();
}

/**
 * The gradient of every weight, embeddings, norms and biases included, has transformers' norm: what training all of a
 * model stands on.
 */
export async function expectWeightGradients(backend: Backend, name: string): Promise<void> {
  const folder = familyFolder(name);
  const { tokens, base } = JSON.parse(await readFile(`${folder}/answers.json`, 'utf8')) as Answers;
  const model = await loadCausalModel(await openFolder(folder));
  const batch = await batchOf(await openSafetensors(fileSource(`${folder}/answers.safetensors`)));
  const named = [...model.namedParameters()];
  const step = compile(backend, () => {
    const gradients = grad(
      mul(model.loss(batch), 1 / tokens),
      named.map(([, { tensor: weight }]) => weight),
    );
    return Object.fromEntries(named.map(([path], at) => [path, sqrt(squaredNorm(gradients[at] ?? batch.ids))]));
  });
  const norms: Record<string, number> = {};
  // transformers calls every output projection so.
  for (const [path, value] of Object.entries(await step.run()))
    norms[path.replace(model.outputPath, 'lm_head')] = (await value)[0] ?? NaN;
  expect(Object.keys(norms).sort()).toEqual(Object.keys(base.gradNorms).sort());
  const off = Object.entries(base.gradNorms).filter(
    ([path, want]) => !(Math.abs((norms[path] ?? NaN) - want) < 1e-4 * want + 1e-7),
  );
  expect(off).toEqual([]);
  await step.dispose();
  model.dispose();
}

/** Documents packed into one row have the loss that they have in rows of their own. */
export async function expectPackingParity(backend: Backend, name: string): Promise<void> {
  const model = await loadCausalModel(await openFolder(familyFolder(name)));
  const rng = new Rng(5);
  const documents = [5, 24, 11].map((length) =>
    Int32Array.from({ length }, () => rng.integer(model.shape.vocabularySize)),
  );
  const step = compile(backend, () => ({
    packed: model.loss(packed(documents)),
    alone: documents.map((document) => model.loss(packed([document]))).reduce((sum, loss) => add(sum, loss)),
  }));
  const results = await step.run();
  const [together = NaN, apart = NaN] = [(await results.packed)[0], (await results.alone)[0]];
  expect(Math.abs(together / apart - 1)).toBeLessThan(1e-5);
  await step.dispose();
  model.dispose();
}

function packed(documents: readonly Int32Array[]): LossBatch {
  const length = documents.reduce((sum, document) => sum + document.length, 0);
  const starts = documents.map((_, at) => documents.slice(0, at).reduce((sum, document) => sum + document.length, 0));
  const row = (of: (document: Int32Array, at: number, start: number) => number | readonly number[]): Int32Array =>
    Int32Array.from(
      documents.flatMap((document, which) =>
        Array.from(document, (_, at) => of(document, at, starts[which] ?? 0)).flat(),
      ),
    );
  return {
    ids: tensor(
      row((document, at) => document[at] ?? 0),
      [1, length],
    ),
    positions: tensor(
      row((_, at) => at),
      [1, length],
    ),
    labels: tensor(
      row((document, at) => document[at + 1] ?? -100),
      [1, length],
    ),
    segments: tensor(
      row((document, _, start) => [start, start + document.length]),
      [1, length, 2],
    ),
  };
}

/** The beginning of each row: within every window and native length. */
async function shortRows(file: SafetensorsFile): Promise<{ ids: Tensor; positions: Tensor }> {
  const [batch = 0, length = 0] = file.tensors.get('ids')?.shape ?? [];
  const columns = (file.tensors.get('base.short')?.shape ?? [])[1] ?? 0;
  const ids = new Int32Array(new Uint8Array(await file.read('ids')).buffer).filter((_, at) => at % length < columns);
  return {
    ids: tensor(ids, [batch, columns]),
    positions: tensor(
      ids.map((_, at) => at % columns),
      [batch, columns],
    ),
  };
}

function expectLogits(got: Float32Array | undefined, want: Float32Array, where: string): void {
  expect(got?.length).toBe(want.length);
  const worst = want.reduce((top, value, at) => Math.max(top, Math.abs((got?.[at] ?? NaN) - value)), 0);
  expect({ where, worst }).toEqual({ where, worst: expect.toSatisfy((error: number) => error < 1e-4) });
}

/** Within 1e-3 as a whole, and no element further off than that share of the largest. */
function expectGradient(got: Float32Array | undefined, want: Float32Array, where: string): void {
  expect([where, got?.length]).toEqual([where, want.length]);
  const errors = want.map((value, at) => Math.abs((got?.[at] ?? NaN) - value));
  const largest = (values: Float32Array): number => values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  const norm = (values: Float32Array): number => Math.sqrt(values.reduce((total, value) => total + value * value, 0));
  const worst = Math.max(largest(errors) / largest(want), norm(errors) / norm(want));
  expect({ where, worst }).toEqual({ where, worst: expect.toSatisfy((error: number) => error < 1e-3) });
}
