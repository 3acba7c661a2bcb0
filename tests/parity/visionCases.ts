import { readAdapter, serializeAdapter } from '@lowrank/lora';
import type { TaskBatch, TaskModel } from '@lowrank/models';
import { loadTaskModel, openFolder } from '@lowrank/models';
import { activateAdapter, loadAdapter, mergeAdapter } from '@lowrank/patch';
import { bytesSource, fileSource, openSafetensors, serializeSafetensors } from '@lowrank/safetensors';
import type { SafetensorsDtype, SafetensorsFile } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { compile, crossEntropy, grad, sqrt, tensor } from '@lowrank/tensor';
import { squaredNorm } from '@lowrank/tensor/op';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { expectClose, expectGradient, pathOfKey } from './encoderCases.js';

const golden = fileURLToPath(new URL('../../parity/golden/vision/', import.meta.url));

/** Every tiny checkpoint of parity/vision.py: a new folder there is a new case here. */
export const goldenVision: readonly string[] = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort();

interface Answers {
  readonly base: { readonly loss: number; readonly gradNorms: Readonly<Record<string, number>> };
  readonly adapter: { readonly loss: number };
}

interface Golden {
  readonly folder: string;
  readonly file: SafetensorsFile;
  readonly answers: Answers;
  readonly batch: TaskBatch;
  readonly labels: Tensor;
}

const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(`${golden}${name}`, 'utf8'));

async function floatsOf(file: SafetensorsFile, key: string): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await file.read(key)).buffer);
}

export async function openVisionGolden(name: string): Promise<{ readonly model: TaskModel; readonly opened: Golden }> {
  const folder = `${golden}${name}`;
  const file = await openSafetensors(fileSource(`${folder}/answers.safetensors`));
  const model = await loadTaskModel(await openFolder(folder), { kind: 'image', labels: 3 });
  const shape = file.tensors.get('pixels')?.shape ?? [];
  const [count = 0] = shape;
  const { pixels: sides } = (await read(`${name}.json`)) as { readonly pixels: readonly [number, number] };
  const length = positionsOf(model, sides);
  const ids = tensor(new Int32Array(count * length), [count, length]);
  const places = Int32Array.from({ length: count * length }, (_, at) => at % length);
  const bounds = Int32Array.from({ length: 2 * count * length }, (_, at) => (at % 2 === 0 ? 0 : length));
  const labels = new Int32Array(new Uint8Array(await file.read('labels')).buffer);
  return {
    model,
    opened: {
      folder,
      file,
      answers: (await read(`${name}/answers.json`)) as Answers,
      batch: {
        ids,
        positions: tensor(places, [count, length]),
        segments: tensor(bounds, [count, length, 2]),
        pixels: tensor(await floatsOf(file, 'pixels'), shape),
      },
      labels: tensor(labels, [count]),
    },
  };
}

function positionsOf({ shape }: TaskModel, [height, width]: readonly [number, number]): number {
  const { patchSize, hasClassToken } = shape as unknown as VisionShape;
  return Math.floor(height / patchSize[0]) * Math.floor(width / patchSize[1]) + (hasClassToken ? 1 : 0);
}

interface VisionShape {
  readonly patchSize: readonly [number, number];
  readonly hasClassToken: boolean;
}

/**
 * Logits within 1e-4, the loss within 1e-5 of its size, the gradient of each trained matrix within 1e-3 and merged
 * logits within 1e-4 of transformers and PEFT; what is read from the adapter's folder is written byte for byte.
 */
export async function expectVisionParity(backend: Backend, name: string): Promise<void> {
  const { model, opened } = await openVisionGolden(name);
  const { folder, file, answers, batch, labels } = opened;
  const weights = `${folder}/adapter/adapter_model.safetensors`;
  const config = await read(`${name}/adapter/adapter_config.json`);
  const adapter = await readAdapter({ config, weights: fileSource(weights), name: folder });
  const written = serializeAdapter(adapter);
  expect(Buffer.from(written['adapter_model.safetensors'] as Uint8Array).equals(await readFile(weights))).toBe(true);
  const { task_type: task, auto_mapping: mapping } = config as Record<string, unknown>;
  expect(JSON.parse(Buffer.from(written['adapter_config.json'] as Uint8Array).toString())).toMatchObject({
    task_type: task,
    auto_mapping: mapping,
  });
  const { parameters: trained } = await loadAdapter(model, adapter);
  const step = compile(backend, () => {
    const adapted = model.logits(batch);
    const loss = crossEntropy(adapted, labels);
    const gradients = grad(
      loss,
      trained.map(({ parameter }) => parameter.tensor),
    );
    const off = activateAdapter(model, [], () => {
      const plain = model.logits(batch);
      return { 'base.logits': plain, baseLoss: crossEntropy(plain, labels) };
    });
    return {
      loss,
      'adapter.logits': adapted,
      ...off,
      ...Object.fromEntries(trained.map(({ name: path }, at) => [`grad.${path}`, gradients[at] ?? loss])),
    };
  });
  const results = new Map<string, Float32Array>();
  for (const [key, value] of Object.entries(await step.run())) results.set(key, Float32Array.from(await value));
  await step.dispose();
  for (const [key, want] of [
    ['loss', answers.adapter.loss],
    ['baseLoss', answers.base.loss],
  ] as const)
    expect(Math.abs((results.get(key)?.[0] ?? NaN) / want - 1), `${name}, ${key}`).toBeLessThan(1e-5);
  for (const key of ['base.logits', 'adapter.logits'])
    expectClose(results.get(key), await floatsOf(file, key), `${name}, ${key}`);
  const keys = [...file.tensors.keys()].filter((key) => key.startsWith('grad.'));
  // PyTorch gives none to what has no effect: the pooling head of SigLIP.
  const unused = trained.filter(({ name: path }) => !keys.some((key) => pathOfKey(key) === path));
  for (const { name: path } of unused)
    expect([path, results.get(`grad.${path}`)?.every((value) => value === 0)]).toEqual([path, true]);
  expect(trained.length - unused.length).toBe(keys.length);
  for (const key of keys)
    expectGradient(results.get(`grad.${pathOfKey(key)}`), await floatsOf(file, key), `${name}, ${key}`);
  await mergeAdapter(model);
  const merged = compile(backend, () => ({ logits: model.logits(batch) }));
  const logits = Float32Array.from(await (await merged.run()).logits);
  expectClose(logits, await floatsOf(file, 'adapter.logits'), `${name}, merged`);
  await merged.dispose();
  model.dispose();
}

/** The gradient of every weight has transformers' norm, interpolated positions among them. */
export async function expectVisionWeightGradients(backend: Backend, name: string): Promise<void> {
  const { model, opened } = await openVisionGolden(name);
  const { answers, batch, labels } = opened;
  const named = [...model.namedParameters()];
  const step = compile(backend, () => {
    const gradients = grad(
      crossEntropy(model.logits(batch), labels),
      named.map(([, { tensor: weight }]) => weight),
    );
    return Object.fromEntries(named.map(([path], at) => [path, sqrt(squaredNorm(gradients[at] ?? labels))]));
  });
  const norms: Record<string, number> = {};
  for (const [path, value] of Object.entries(await step.run())) norms[path] = (await value)[0] ?? NaN;
  const used = Object.keys(answers.base.gradNorms);
  expect(used.filter((path) => !(path in norms))).toEqual([]);
  expect(Object.keys(norms).filter((path) => !used.includes(path) && norms[path] !== 0)).toEqual([]);
  const off = Object.entries(answers.base.gradNorms).filter(
    ([path, want]) => !(Math.abs((norms[path] ?? NaN) - want) < 1e-4 * want + 1e-6),
  );
  expect(off).toEqual([]);
  await step.dispose();
  model.dispose();
}

/** What SigLIP compares with texts: one vector for each image. */
export async function expectPooled(backend: Backend, name: string): Promise<void> {
  const { model, opened } = await openVisionGolden(name);
  const { ids, positions, segments, pixels } = opened.batch;
  const pooled = compile(backend, () => ({
    pooled: model.beside('head', model.hidden(ids, { positions, segments, pixels })),
  }));
  const got = Float32Array.from(await (await pooled.run()).pooled);
  expectClose(got, await floatsOf(opened.file, 'pooled'), `${name}, pooled`);
  await pooled.dispose();
  model.dispose();
}

/** An adapter of before transformers 5 says the same. */
export async function expectOldNames(backend: Backend, name: string): Promise<void> {
  const { model, opened } = await openVisionGolden(name);
  const { folder, file: answers, batch } = opened;
  const file = await openSafetensors(fileSource(`${folder}/adapter/adapter_model.safetensors`));
  const renamed = await Promise.all(
    [...file.tensors].map(async ([key, { dtype, shape }]) => ({
      // `model.storedName` knows names of weights: what stands before `.lora_A` is one's beginning.
      name: `base_model.model.${model.storedName(key.replace(/^base_model\.model\./, ''))}`,
      dtype: dtype as SafetensorsDtype,
      shape,
      data: new Uint8Array(await file.read(key)),
    })),
  );
  expect(renamed.filter(({ name: key }) => key.includes('.attention.attention.query.lora_A')).length).toBe(2);
  const config = (await read(`${name}/adapter/adapter_config.json`)) as Record<string, unknown>;
  const adapter = await readAdapter({
    config: { ...config, target_modules: ['query', 'key', 'value', 'dense'] },
    weights: bytesSource(serializeSafetensors(renamed), name),
    name,
  });
  await loadAdapter(model, adapter);
  const step = compile(backend, () => ({ logits: model.logits(batch) }));
  const logits = Float32Array.from(await (await step.run()).logits);
  expectClose(logits, await floatsOf(answers, 'adapter.logits'), `${name}, old names`);
  await step.dispose();
  model.dispose();
}
