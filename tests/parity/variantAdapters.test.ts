import type { TrainedParameter } from '@lowrank/nn';
import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@lowrank/cpu';
import type { LoraAdapter } from '@lowrank/lora';
import { beginsInBase, LoraLayer, readAdapter, serializeAdapter } from '@lowrank/lora';
import type { CausalModel } from '@lowrank/models';
import { loadCausalModel, openFolder } from '@lowrank/models';
import { addAdapter, loadAdapter, mergeAdapter, mergedTensors, saveAdapter, withLoraPlus } from '@lowrank/patch';
import { bytesSource, fileSource, openSafetensors } from '@lowrank/safetensors';
import type { Backend, Tensor } from '@lowrank/tensor';
import { grad, mul, tensor } from '@lowrank/tensor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Case } from './variantCases.js';
import {
  batchOf,
  expectClose,
  floats,
  golden,
  logitsOf as logits,
  lossBatch,
  openCase,
  readFolder,
  runOf,
  trainFive as trained,
  valueOf as value,
} from './variantCases.js';

/** DoRA, biases, inits and ways to name targets as PEFT has them: parity/variants.py. */
const names = [
  'dora',
  'doraBias',
  'doraEmbedding',
  'doraConv1d',
  'loraBias',
  'biasAll',
  'biasLora',
  'selected',
  'regex',
  'loraPlus',
  'gaussian',
  'orthogonal',
  'olora',
  'pissa',
  'pissaRslora',
  'pissaConv1d',
  'lora',
  'rslora',
  'loraEmbedding',
  'loraConv1d',
  'mica',
];

const open = (name: string): Promise<Case> => openCase('variants', name);

let backend: Backend;
beforeAll(async () => (backend = await createCpuBackend()));
afterAll(() => backend.dispose());

const valueOf = (make: () => Tensor): Promise<Float32Array> => value(backend, make);
const logitsOf = (model: CausalModel, off = false): Promise<Float32Array> => logits(backend, model, off);
const trainFive = (model: CausalModel, parameters: readonly TrainedParameter[]): Promise<number[]> =>
  trained(backend, model, parameters);

test.each(names)('%s: what PEFT computes before, after five steps and merged, and every gradient', async (name) => {
  const { answers, file, model, adapter } = await open(name);
  const base = await logitsOf(model);
  // What begins as a part of W is made here, of the same W.
  const parameters = beginsInBase(adapter.config.init)
    ? (await addAdapter(model, adapter.config)).parameters
    : (await loadAdapter(model, adapter)).parameters;
  expectClose(await logitsOf(model), await floats(file, 'logits.start'), 2e-5);
  // Biases are trained in place, so that nothing switches them off.
  if (adapter.config.bias === 'none') expect(await logitsOf(model, true)).toEqual(base);

  const gradients = [...file.tensors.keys()].filter((key) => key.startsWith('grad.')).sort();
  if (gradients.length > 0) expect(parameters.map((trained) => `grad.${trained.name}`).sort()).toEqual(gradients);
  const tokens = (await runOf()).rows.flatMap(({ labels }) => labels.slice(1)).filter((label) => label >= 0).length;
  const loss = mul(model.loss(lossBatch(await batchOf())), 1 / tokens);
  const found =
    gradients.length > 0
      ? grad(
          loss,
          parameters.map(({ parameter }) => parameter.tensor),
        )
      : [];
  for (const [at, gradient] of found.entries())
    expectClose(await valueOf(() => gradient), await floats(file, `grad.${parameters[at]?.name}`), 1e-4);

  const losses = await trainFive(
    model,
    name === 'loraPlus' ? withLoraPlus(parameters, (await runOf()).loraPlus) : parameters,
  );
  losses.forEach((got, at) => expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(2e-5));
  expectClose(await logitsOf(model), await floats(file, 'logits.trained'), 1e-4);
  expect([...model.namedModules()].some(([, module]) => module instanceof LoraLayer)).toBe(true);
  await mergeAdapter(model);
  expectClose(await logitsOf(model), await floats(file, 'logits.merged'), 1e-4);
  expect(await logitsOf(model)).not.toEqual(base);
  model.dispose();
});

test.each(names.filter((name) => !['olora', 'pissa', 'pissaRslora', 'pissaConv1d'].includes(name)))(
  '%s: what PEFT saved is saved again, byte by byte, also from the model',
  async (name) => {
    const { model, adapter } = await open(name);
    const original = await readFile(`${golden}variants/${name}/adapter_model.safetensors`);
    const bytes = (given: LoraAdapter): Buffer =>
      Buffer.from(serializeAdapter(given)['adapter_model.safetensors'] ?? []);
    expect(Buffer.compare(bytes(adapter), original)).toBe(0);
    await loadAdapter(model, adapter);
    const again = await saveAdapter(model);
    // An embedding's own table, which PEFT saves along, is the model's business.
    if (!name.endsWith('Embedding')) expect(Buffer.compare(bytes(again), original)).toBe(0);
    const files = serializeAdapter(again);
    const read = await readAdapter({
      config: JSON.parse(new TextDecoder().decode(files['adapter_config.json'])) as unknown,
      weights: bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array()),
      name,
    });
    expect({ ...read.config, baseModel: '' }).toEqual({ ...adapter.config, baseModel: '' });
    expect(read.layers).toEqual(adapter.layers);
    model.dispose();
  },
);

test('mica: begun here, of the same W, it learns the same, and B stays what it was', async () => {
  const { answers, file, model, adapter } = await open('mica');
  const { parameters } = await addAdapter(model, adapter.config);
  const begun = await saveAdapter(model);
  const losses = await trainFive(model, parameters);
  losses.forEach((got, at) => expect(Math.abs(got / (answers.losses[at] ?? NaN) - 1)).toBeLessThan(2e-5));
  expectClose(await logitsOf(model), await floats(file, 'logits.trained'), 1e-4);
  for (const [path, { b }] of (await saveAdapter(model)).layers) expect(b).toEqual(begun.layers.get(path)?.b);
  model.dispose();
});

test.each(['olora', 'pissa', 'pissaRslora', 'pissaConv1d'])(
  '%s: trained here it is saved as plain LoRA, with the keys, shapes and logits of PEFT’s conversion',
  async (name) => {
    const { answers, file, model, adapter } = await open(name);
    await trainFive(model, (await addAdapter(model, adapter.config)).parameters);
    const ours = await saveAdapter(model);
    const theirs = await readFolder(`${golden}variants/${name}/converted`);
    expect({ ...ours.config, baseModel: '', alpha: 0, targetModules: [] }).toEqual({
      ...theirs.config,
      baseModel: '',
      alpha: 0,
      targetModules: [],
    });
    expect(ours.config.alpha).toBeCloseTo(theirs.config.alpha, 12);
    expect(new Map([...ours.layers].map(([path, { a, b, rank }]) => [path, [a.length, b.length, rank]]))).toEqual(
      new Map([...theirs.layers].map(([path, { a, b, rank }]) => [path, [a.length, b.length, rank]])),
    );
    for (const converted of [ours, theirs]) {
      const again = await loadCausalModel(await openFolder(`${golden}${answers.base}`));
      await loadAdapter(again, converted);
      expectClose(await logitsOf(again), await floats(file, 'logits.trained'), 1e-4);
      again.dispose();
    }
    model.dispose();
  },
);

test('a PiSSA adapter that PEFT did not convert finds its part of W again', async () => {
  for (const name of ['olora', 'pissa', 'pissaConv1d']) {
    const { file, model, adapter } = await open(name);
    await loadAdapter(model, adapter);
    expectClose(await logitsOf(model), await floats(file, 'logits.start'), 2e-5);
    model.dispose();
  }
});

test.each(['dora', 'doraConv1d', 'doraEmbedding', 'loraBias', 'biasAll', 'biasLora', 'selected'])(
  '%s: a merged checkpoint computes what the adapted model does',
  async (name) => {
    const { answers, file, model, adapter } = await open(name);
    const stored = await openSafetensors(fileSource(`${golden}${answers.base}/model.safetensors`));
    // The names of GPT-2's file lack its module's.
    const pathOf = (key: string): string =>
      answers.base.startsWith('gpt') && !key.startsWith('transformer.') ? `transformer.${key}` : key;
    const tensors = [...stored.tensors.values()].map(({ name: key, dtype, shape }) => ({
      name: pathOf(key),
      dtype,
      shape,
      read: () => stored.read(key),
    }));
    const parameters = new Map(model.namedParameters());
    for (const merged of mergedTensors(tensors, adapter)) {
      const parameter = parameters.get(merged.name);
      if (parameter !== undefined)
        parameter.tensor = tensor(new Float32Array(new Uint8Array(await merged.read()).buffer), merged.shape);
    }
    expectClose(await logitsOf(model), await floats(file, 'logits.start'), 1e-4);
    model.dispose();
  },
);
