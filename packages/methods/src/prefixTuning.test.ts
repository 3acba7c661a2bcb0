import { grad, square, sum } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { prefixTuning } from './prefixTuning.js';
import { hiddenOf, TinyModel } from './testing.js';

test('keys and values of every layer are trained, and nothing else', async () => {
  const model = new TinyModel();
  const tuning = await prefixTuning.inject(model, { virtualTokens: 3, seed: 1 });
  expect(tuning.parameters.map(({ name, parameter }) => [name, parameter.tensor.shape.join()])).toEqual([
    ['prefix.0.keys', '3,4'],
    ['prefix.0.values', '3,4'],
    ['prefix.1.keys', '3,4'],
    ['prefix.1.values', '3,4'],
  ]);
  expect([...model.namedParameters()].filter(([, { trainable }]) => trainable)).toHaveLength(4);
  const gradients = await evaluateReference(
    grad(
      sum(square(model.forward([3, 1, 8]))),
      tuning.parameters.map(({ parameter }) => parameter.tensor),
    ),
  );
  for (const gradient of gradients)
    for (let row = 0; row < 3; row++)
      expect(Math.max(...gradient.subarray(4 * row, 4 * row + 4).map(Math.abs))).toBeGreaterThan(1e-6);
  expect((await tuning.extract()).config).toMatchObject({
    peft_type: 'PREFIX_TUNING',
    num_virtual_tokens: 3,
    token_dim: 4,
    num_attention_heads: 1,
    num_layers: 2,
    prefix_projection: false,
    init_weights: null,
  });
});

test('a file is one table: of each layer the keys, then the values', async () => {
  const data = Float32Array.from({ length: 2 * 16 }, (_, at) => at);
  const adapter = {
    config: { peft_type: 'PREFIX_TUNING', num_virtual_tokens: 2, prefix_projection: true },
    tensors: new Map([['prompt_embeddings', { shape: [2, 16], data }]]),
  };
  const tuning = await prefixTuning.attach(new TinyModel(), adapter);
  const [first, second] = await evaluateReference(tuning.parameters.map(({ parameter }) => parameter.tensor));
  expect([...(first ?? [])]).toEqual([0, 1, 2, 3, 16, 17, 18, 19]);
  expect([...(second ?? [])]).toEqual([4, 5, 6, 7, 20, 21, 22, 23]);
  expect((await tuning.extract()).tensors.get('prompt_embeddings')?.shape).toEqual([2, 16]);
  const again = await tuning.extract();
  expect(again.tensors.get('prompt_embeddings')).toEqual({ shape: [2, 16], data });
  // What is saved has been projected.
  expect(again.config['prefix_projection']).toBe(false);
});

test('zeros to begin with; taken out, the model is as it was', async () => {
  const model = new TinyModel();
  const before = await hiddenOf(model);
  const tuning = await prefixTuning.inject(model, { virtualTokens: 2, virtualInit: 'zero' });
  expect((await tuning.extract()).config['init_weights']).toBe('zero');
  expect((await tuning.extract()).tensors.get('prompt_embeddings')?.data.every((value) => value === 0)).toBe(true);
  await expect(prefixTuning.inject(model, { virtualTokens: 2 })).rejects.toThrow(/expected a model without adapters/);
  tuning.remove();
  expect(model.virtualTokens).toBe(0);
  expect(await hiddenOf(model)).toEqual(before);
});

test('what does not fit the model is refused, with its layers and heads', async () => {
  const attach = (shape: readonly number[]): Promise<unknown> =>
    prefixTuning.attach(new TinyModel(), {
      config: { peft_type: 'PREFIX_TUNING', num_virtual_tokens: 2 },
      tensors: new Map([['prompt_embeddings', { shape, data: new Float32Array(64) }]]),
    });
  await expect(attach([2, 32])).rejects.toThrow(/expected \[2, 16\], of 2 layers with 1 heads of 4, got \[2, 32\]/);
  await expect(attach([3, 16])).rejects.toThrow(/expected \[2, 16\]/);
  await expect(prefixTuning.inject(new TinyModel(), { virtualTokens: 40 })).rejects.toThrow(/from 1 to 14/);
});
