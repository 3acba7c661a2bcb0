import type { LoraConfig } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import {
  attachAdapter,
  createAdapter,
  extractAdapter,
  injectAdapter,
  loadAdapter,
  removeAdapters,
  setActiveAdapters,
  withoutAdapters,
} from './adapters.js';
import { mergedTensors } from './merge.js';
import { mergeIntoModel } from './mergeIntoModel.js';
import { swapAdapter } from './swapAdapter.js';
import { largestDifference, logitsOf, randomAdapter, stir, TinyModel } from './testing.js';

const config = (given: Partial<LoraConfig>): LoraConfig =>
  loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 4, ...given });

test.each<Partial<LoraConfig>>([{ useDora: true }, { init: 'pissa' }, { init: 'olora' }])(
  '%j needs the base first: the functions without a promise refuse it',
  async (given) => {
    const model = new TinyModel();
    expect(() => injectAdapter(model, config(given))).toThrow(/await createAdapter/);
    await createAdapter(model, config(given));
    const adapter = await extractAdapter(model, config(given));
    removeAdapters(model);
    if (given.useDora === true) expect(() => loadAdapter(model, adapter)).toThrow(/await attachAdapter/);
    // What began as a part of the base has become plain LoRA.
    else expect(loadAdapter(model, adapter)).toHaveLength(6);
  },
);

test.each<Partial<LoraConfig>>([
  { useDora: true },
  { loraBias: true },
  { init: 'pissa' },
  { init: 'olora', useRslora: true },
  { init: 'orthogonal' },
])('%j: begins as the base, goes through its files, switches off, and leaves no trace', async (given) => {
  const model = new TinyModel();
  const base = await logitsOf(model);
  await createAdapter(model, config(given));
  // Of the largest logit: this model has no norms, so that they are in the thousands.
  const scale = Math.max(...base.map(Math.abs));
  expect(largestDifference(await logitsOf(model), base)).toBeLessThan(1e-6 * scale);
  stir(model);
  const adapted = await logitsOf(model);
  expect(largestDifference(adapted, base)).toBeGreaterThan(1e-2 * scale);
  expect(await withoutAdapters(model, () => logitsOf(model))).toEqual(base);
  const again = new TinyModel();
  await attachAdapter(again, await extractAdapter(model, config(given)));
  expect(largestDifference(await logitsOf(again), adapted)).toBeLessThan(1e-6 * scale);
  removeAdapters(model);
  expect(await logitsOf(model)).toEqual(base);
});

test('two DoRA adapters add up what each adds', async () => {
  const model = new TinyModel();
  await createAdapter(model, config({ useDora: true, targetModules: ['layers.2.down_proj'] }), {
    name: 'one',
    seed: 1,
  });
  await createAdapter(model, config({ useDora: true, targetModules: ['layers.2.down_proj'] }), {
    name: 'two',
    seed: 2,
  });
  stir(model, 'one', 3);
  stir(model, 'two', 4);
  const at = async (names: string[]): Promise<Float64Array> => (setActiveAdapters(model, names), logitsOf(model));
  const [none, one, two, both] = [await at([]), await at(['one']), await at(['two']), await at(['one', 'two'])];
  expect(
    largestDifference(
      both,
      one.map((value, i) => value + (two[i] ?? NaN) - (none[i] ?? NaN)),
    ),
  ).toBeLessThan(1e-9);
});

test('a DoRA adapter is swapped for another, never for plain LoRA', async () => {
  const model = new TinyModel();
  const dora = config({ useDora: true });
  await createAdapter(model, dora);
  stir(model);
  const adapter = await extractAdapter(model, dora);
  const want = await logitsOf(model);
  stir(model, 'default', 9);
  swapAdapter(model, adapter);
  expect(await logitsOf(model)).toEqual(want);
  expect(() => swapAdapter(model, randomAdapter(config({}), [...adapter.layers.keys()]))).toThrow(/another variant/);
  removeAdapters(model);
  injectAdapter(model, config({}));
  expect(() => swapAdapter(model, adapter)).toThrow(/another variant/);
});

test('a bias of B needs one of the layer to be merged into; embeddings have none', async () => {
  const model = new TinyModel();
  injectAdapter(model, config({ loraBias: true }));
  await expect(mergeIntoModel(model)).rejects.toThrow(/lora_bias at model\.layers\.0\.self_attn\.q_proj.*one without/);
  expect(() => injectAdapter(new TinyModel(), config({ loraBias: true, targetModules: ['embed_tokens'] }))).toThrow(
    /lora_bias at model\.embed_tokens/,
  );
});

test('trained biases belong to one adapter alone', () => {
  const model = new TinyModel();
  injectAdapter(model, config({}));
  expect(() => injectAdapter(model, config({ bias: 'all' }), { name: 'other' })).toThrow(/no other adapter.*default/);
});

test('a checkpoint is not merged with what began as a part of it', () => {
  expect(() =>
    mergedTensors([], randomAdapter(config({ init: 'pissa' }), ['model.layers.0.self_attn.q_proj'])),
  ).toThrow(/plain LoRA.*pissa/);
});
