import { loraConfig } from '@lowrank/lora';
import { Conv1d, Linear } from '@lowrank/nn';
import { cast, fromNumbers, readTensor, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { adaptedLayers, extractAdapter, loadAdapter, setActiveAdapters } from './adapters.js';
import { mergeIntoModel } from './mergeIntoModel.js';
import { largestDifference, logitsOf, randomAdapter, TinyModel } from './testing.js';

const config = loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 4 });
const paths = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

test('merged, the model computes what the adapters computed; inactive ones leave no trace', async () => {
  const model = new TinyModel();
  for (const [seed, name] of ['a', 'b', 'c'].entries())
    loadAdapter(model, randomAdapter(config, paths, { seed }), { name });
  setActiveAdapters(model, ['a', 'c']);
  const adapted = await logitsOf(model);
  expect(await mergeIntoModel(model)).toEqual(paths);
  expect(adaptedLayers(model).size).toBe(0);
  const scale = Math.max(...adapted.map(Math.abs));
  expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * scale);
});

test('a weight in 16 bits stays in 16 bits', async () => {
  const model = new TinyModel();
  const layer = model.getModule(paths[0] ?? '');
  if (!(layer instanceof Linear)) throw new TypeError('a linear layer');
  const values = (await evaluateReference([layer.weight.tensor]))[0] ?? [];
  layer.weight.tensor = tensor(fromNumbers(values, 'bf16'), [6, 6], { dtype: 'bf16' });
  loadAdapter(model, randomAdapter(config, paths));
  const adapted = await logitsOf(model);
  await mergeIntoModel(model);
  expect(layer.weight.tensor.dtype).toBe('bf16');
  expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(0.02 * Math.max(...adapted.map(Math.abs)));
  const [rounded = []] = await evaluateReference([cast(layer.weight.tensor, 'f32')]);
  expect(Array.from(await readTensor(layer.weight.tensor))).toEqual(Array.from(fromNumbers(rounded, 'bf16')));
});

test('a layer stored [in, out], and what an adapter of such layers says when it is saved', async () => {
  const model = new TinyModel();
  const path = paths[1] ?? '';
  const weight = (model.getModule(path) as Linear).weight.tensor;
  model.setModule(path, new Conv1d(weight, tensor([1, 2, 3, 4, 5, 6])));
  const adapter = randomAdapter(config, paths);
  loadAdapter(model, adapter);
  expect((await extractAdapter(model, config)).config.fanInFanOut).toBe(true);
  const adapted = await logitsOf(model);
  await mergeIntoModel(model);
  expect(largestDifference(await logitsOf(model), adapted)).toBeLessThan(1e-6 * Math.max(...adapted.map(Math.abs)));
});

test('NaN in one layer is refused, and every layer stays as it was', async () => {
  const model = new TinyModel();
  const adapter = randomAdapter(config, paths);
  adapter.layers.get(paths[2] ?? '')?.a.set([NaN], 3);
  loadAdapter(model, adapter);
  const weight = (model.getModule(`${paths[0]}.base_layer`) as Linear).weight.tensor;
  await expect(mergeIntoModel(model)).rejects.toThrow(/finite/);
  expect(adaptedLayers(model).size).toBe(3);
  expect((model.getModule(`${paths[0]}.base_layer`) as Linear).weight.tensor).toBe(weight);
});
