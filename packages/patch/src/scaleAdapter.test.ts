import { loraConfig } from '@lowrank/lora';
import { expect, test } from 'vitest';
import { loadAdapter } from './loadAdapter.js';
import { mergeAdapter, unmergeAdapter } from './mergeAdapter.js';
import { saveAdapter } from './saveAdapter.js';
import { scaleAdapter } from './scaleAdapter.js';
import { largestDifference, logitsOf, randomAdapter, TinyModel } from './testing.js';

const config = loraConfig({ targetModules: ['q_proj'], r: 2, alpha: 6 });
const paths = [0, 1, 2].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

async function withAdapter(alpha = 6): Promise<TinyModel> {
  const model = new TinyModel();
  await loadAdapter(
    model,
    { ...randomAdapter(config, paths, { seed: 1 }), config: { ...config, alpha } },
    { name: 'a' },
  );
  return model;
}

test('a strength is a factor on alpha: 0 is the base, 1 the adapter, and files keep the adapter’s own', async () => {
  const base = await logitsOf(new TinyModel());
  const model = await withAdapter();
  const whole = await logitsOf(model);
  scaleAdapter(model, 'a', 0);
  expect(await logitsOf(model)).toEqual(base);
  scaleAdapter(model, 'a', 0.5);
  expect(largestDifference(await logitsOf(model), await logitsOf(await withAdapter(3)))).toBeLessThan(1e-6);
  expect((await saveAdapter(model, { name: 'a' })).config.alpha).toBe(6);
  scaleAdapter(model, 'a', 1);
  expect(await logitsOf(model)).toEqual(whole);
});

test('no number, an unknown adapter and merged layers are refused', async () => {
  const model = await withAdapter();
  expect(() => scaleAdapter(model, 'a', NaN)).toThrow(/strength of the adapter a.*a number.*NaN/);
  expect(() => scaleAdapter(model, 'b', 1)).toThrow(/adapter b.*one of a/);
  await mergeAdapter(model, 'a');
  expect(() => scaleAdapter(model, 'a', 2)).toThrow(/merged into/);
  await unmergeAdapter(model);
  scaleAdapter(model, 'a', 2);
});
