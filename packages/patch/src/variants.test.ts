import type { LoraConfig } from '@lowrank/lora';
import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { activateAdapter } from './activateAdapter.js';
import { addAdapter } from './addAdapter.js';
import { loadAdapter } from './loadAdapter.js';
import { removeAdapter } from './removeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { mergedTensors } from './mergedTensors.js';
import { mergeAdapter } from './mergeAdapter.js';
import { largestDifference, logitsOf, randomAdapter, stir, TinyModel } from './testing.js';

const config = (given: Partial<LoraConfig>): LoraConfig =>
  loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 4, ...given });

test.each<Partial<LoraConfig>>([{ init: 'pissa' }, { init: 'olora' }])(
  '%j: what began as a part of the base is saved as plain LoRA',
  async (given) => {
    const model = new TinyModel();
    await addAdapter(model, config(given));
    const adapter = await saveAdapter(model);
    removeAdapter(model);
    expect(adapter.config.init).toBe('kaiming');
    expect((await loadAdapter(model, adapter)).parameters).toHaveLength(6);
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
  await addAdapter(model, config(given));
  // Of the largest logit: this model has no norms, so that they are in the thousands.
  const scale = Math.max(...base.map(Math.abs));
  expect(largestDifference(await logitsOf(model), base)).toBeLessThan(1e-6 * scale);
  stir(model);
  const adapted = await logitsOf(model);
  expect(largestDifference(adapted, base)).toBeGreaterThan(1e-2 * scale);
  expect(await activateAdapter(model, [], () => logitsOf(model))).toEqual(base);
  const again = new TinyModel();
  await loadAdapter(again, await saveAdapter(model));
  expect(largestDifference(await logitsOf(again), adapted)).toBeLessThan(1e-6 * scale);
  removeAdapter(model);
  expect(await logitsOf(model)).toEqual(base);
});

test('two DoRA adapters add up what each adds', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({ useDora: true, targetModules: ['layers.2.down_proj'] }), { name: 'one', seed: 1 });
  await addAdapter(model, config({ useDora: true, targetModules: ['layers.2.down_proj'] }), { name: 'two', seed: 2 });
  stir(model, 'one', 3);
  stir(model, 'two', 4);
  const at = async (names: string[]): Promise<Float64Array> => (activateAdapter(model, names), logitsOf(model));
  const [none, one, two, both] = [await at([]), await at(['one']), await at(['two']), await at(['one', 'two'])];
  expect(
    largestDifference(
      both,
      one.map((value, i) => value + (two[i] ?? NaN) - (none[i] ?? NaN)),
    ),
  ).toBeLessThan(1e-9);
});

test('a bias of B needs one of the layer to be merged into; embeddings have none', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({ loraBias: true }));
  await expect(mergeAdapter(model)).rejects.toThrow(/lora_bias at model\.layers\.0\.self_attn\.q_proj.*one without/);
  await expect(
    addAdapter(new TinyModel(), config({ loraBias: true, targetModules: ['embed_tokens'] })),
  ).rejects.toThrow(/lora_bias at model\.embed_tokens/);
});

test('trained biases belong to one adapter alone', async () => {
  const model = new TinyModel();
  await addAdapter(model, config({}));
  await expect(addAdapter(model, config({ bias: 'all' }), { name: 'other' })).rejects.toThrow(
    /no other adapter.*default/,
  );
});

test('a checkpoint is not merged with what began as a part of it', () => {
  expect(() =>
    mergedTensors([], randomAdapter(config({ init: 'pissa' }), ['model.layers.0.self_attn.q_proj'])),
  ).toThrow(/plain LoRA.*pissa/);
});
