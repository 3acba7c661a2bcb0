import type { LoraConfig, NamedVariant } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import type { LinearLike } from '@lowrank/nn';
import { Conv1d, Linear, Module } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { compile, fromNumbers, linear, mul, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { openAdapterBank } from './adapterBank.js';
import { activateAdapter } from './activateAdapter.js';
import { adaptedLayers } from './adaptedLayers.js';
import { addAdapter } from './addAdapter.js';
import { loadAdapter } from './loadAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { mergeAdapter, unmergeAdapter } from './mergeAdapter.js';
import { largestDifference, logitsOf, random, randomAdapter, stir, TinyModel } from './testing.js';

const config = (given: Partial<LoraConfig> = {}): LoraConfig =>
  loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 4, ...given });
const paths = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`);
const adapter = randomAdapter(config(), paths);
const scaleOf = (values: Float64Array): number => Math.max(...values.map(Math.abs));

test.each<Partial<LoraConfig>>([
  {},
  { useRslora: true },
  { useDora: true },
  { init: 'pissa' },
  { targetModules: ['down_proj', 'embed_tokens'] },
  { targetModules: ['embed_tokens'], useDora: true },
])('%j: merged, unmerged, merged again', async (given) => {
  const model = new TinyModel();
  await addAdapter(model, config(given));
  stir(model);
  for (const { adapters, embedding } of adaptedLayers(model).values())
    if (embedding)
      sourceOf(adapters.get('default')?.a.tensor ?? tensor([0])).write(
        Float32Array.from({ length: 18 }, (_, at) => Math.sin(at)),
      );
  const [adapted, saved] = [await logitsOf(model), await saveAdapter(model)];
  const base = await activateAdapter(model, [], () => logitsOf(model));
  expect(largestDifference(adapted, base)).toBeGreaterThan(1e-3 * scaleOf(base));
  for (let round = 0; round < 2; round++) {
    const changed = await mergeAdapter(model);
    expect(changed.length).toBeGreaterThan(0);
    expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
    // Merged or not, what is saved is the adapter.
    expect(await saveAdapter(model)).toEqual(saved);
    expect(await unmergeAdapter(model)).toEqual(changed);
    expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
    expect(largestDifference(await activateAdapter(model, [], () => logitsOf(model)), base)).toBeLessThan(
      1e-6 * scaleOf(base),
    );
  }
});

test('biases of B go into the layer’s bias and out again; without one they are refused', async () => {
  const model = new TinyModel();
  for (const path of paths) model.setModule(path, new Linear(random(7, [6, 6]), random(8, [6])));
  const own = randomAdapter(config({ loraBias: true }), paths);
  const biased = {
    ...own,
    layers: new Map(
      [...own.layers].map(([path, matrices]) => [path, { ...matrices, bias: Float32Array.of(1, -2, 3, -4, 5, -6) }]),
    ),
  };
  await loadAdapter(model, biased);
  const adapted = await logitsOf(model);
  await mergeAdapter(model);
  expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
  await unmergeAdapter(model);
  expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
  const plain = new TinyModel();
  await loadAdapter(plain, biased);
  await expect(mergeAdapter(plain)).rejects.toThrow(/lora_bias at .*q_proj.*one without/);
});

test('in 16 bits unmerging gives each weight back within a unit in its last place', async () => {
  const model = new TinyModel();
  const path = paths[1] ?? '';
  const values = (await evaluateReference([random(9, [6, 6])]))[0] ?? [];
  const stored = fromNumbers(values, 'bf16');
  const layer = new Conv1d(tensor(stored.slice(), [6, 6], { dtype: 'bf16' }));
  model.setModule(path, layer);
  await loadAdapter(model, adapter);
  await mergeAdapter(model);
  const merged = (await evaluateReference([layer.weight.tensor]))[0] ?? [];
  await unmergeAdapter(model);
  const back = (await evaluateReference([layer.weight.tensor]))[0] ?? new Float64Array();
  back.forEach((value, at) =>
    expect(Math.abs(value - (values[at] ?? NaN))).toBeLessThanOrEqual(
      2 ** -7 * Math.max(Math.abs(value), Math.abs(merged[at] ?? NaN)),
    ),
  );
  expect(layer.weight.tensor.dtype).toBe('bf16');
});

test('what was compiled with DoRA layers goes on with the merged weights', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({ useDora: true }));
  stir(model);
  const step = compile(new ReferenceBackend(), () => ({ logits: model.forward() }));
  const run = async (): Promise<Float64Array> => Float64Array.from(await (await step.run()).logits);
  const before = await run();
  await mergeAdapter(model);
  expect(largestDifference(await run(), before)).toBeLessThan(1e-5 * scaleOf(before));
  await unmergeAdapter(model);
  expect(largestDifference(await run(), before)).toBeLessThan(1e-5 * scaleOf(before));
  await step.dispose();
});

test('while merged everything that would go wrong is refused by name', async () => {
  const model = new TinyModel();
  await loadAdapter(model, adapter);
  await expect(unmergeAdapter(model)).rejects.toThrow(/mergeAdapter has merged, got none/);
  await mergeAdapter(model);
  const merged = await logitsOf(model);
  const refused: (() => unknown)[] = [
    () => mergeAdapter(model),
    () => activateAdapter(model, []),
    () => activateAdapter(model, [], () => 0),
    () => removeAdapter(model, 'default'),
    () => removeAdapter(model),
    () => addAdapter(model, config(), { name: 'b' }),
    () => loadAdapter(model, adapter, { name: 'b' }),
  ];
  for (const call of refused)
    await expect((async () => call())()).rejects.toMatchObject({
      code: 'patch.merged',
      remedy: expect.stringContaining('unmergeAdapter') as string,
    });
  expect(await logitsOf(model)).toEqual(merged);
  await expect(mergeAdapter(new TinyModel(), ['ghost'])).rejects.toMatchObject({ code: 'patch.noAdapter' });
});

test('codes take nothing in; DoRA goes alone', async () => {
  class Coded extends Module implements LinearLike {
    readonly inFeatures = 6;
    readonly outFeatures = 6;
    readonly matrix = random(3, [6, 6]);

    forward(x: Tensor): Tensor {
      return linear(x, this.matrix);
    }
  }
  const model = new TinyModel();
  model.setModule(paths[2] ?? '', new Coded());
  await loadAdapter(model, adapter);
  const before = await logitsOf(model);
  await expect(mergeAdapter(model)).rejects.toThrow(/a Coded, which holds codes/);
  expect(await logitsOf(model)).toEqual(before);
  const two = new TinyModel();
  for (const name of ['one', 'two']) await addAdapter(two, config({ useDora: true }), { name });
  activateAdapter(two, ['one', 'two']);
  await expect(mergeAdapter(two)).rejects.toThrow(/one and two .*one adapter/);
});

test(
  'a variant that says how is unmerged its own way, one that does not is refused; a bank holds neither unless ' +
    'it is a factor',
  async () => {
    const variant: NamedVariant = {
      name: 'double',
      forward: ({ layer, weights, x }) => mul(layer.product(x, weights), 2),
      mergeRow(row, delta) {
        row.forEach((value, at) => (row[at] = value + 2 * (delta[at] ?? NaN)));
        return 2;
      },
    };
    const unmerging: NamedVariant = {
      ...variant,
      unmergeRow: (row, delta, { kept }) => row.forEach((value, at) => (row[at] = value - kept * (delta[at] ?? NaN))),
    };
    const own = (given: NamedVariant): typeof adapter => ({ ...adapter, config: config({ variant: given }) });
    const model = new TinyModel();
    await loadAdapter(model, own(unmerging));
    const adapted = await logitsOf(model);
    await mergeAdapter(model);
    expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
    await unmergeAdapter(model);
    expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scaleOf(adapted));
    const stuck = new TinyModel();
    await loadAdapter(stuck, own(variant));
    await expect(mergeAdapter(stuck)).rejects.toMatchObject({ code: 'patch.mergeVariant' });
    const bank = openAdapterBank(new TinyModel(), { slots: 1, rank: 2 });
    await expect(bank.load('it', own(unmerging))).rejects.toThrow(/its variant of LoRA is not a factor/);
  },
);
