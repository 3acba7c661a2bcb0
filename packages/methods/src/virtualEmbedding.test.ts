import { Embedding, Parameter } from '@lowrank/nn';
import { grad, sum, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { VirtualEmbedding } from './virtualEmbedding.js';

const base = new Embedding(tensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]));
const table = new Parameter(tensor(Float32Array.of(70, 80, 90, 100), [2, 2]));
const ids = tensor(Int32Array.of(4, 2, 0, 3, 1, 4), [2, 3]);

test('ids from the vocabulary’s size on are rows of the table, the others the model’s own', async () => {
  const layer = new VirtualEmbedding(base, new Map([['prompt_embeddings', table]]), { vocabularySize: 3, scale: 1 });
  const y = layer.forward(ids);
  expect(y.shape).toEqual([2, 3, 2]);
  const [values, gradient] = await evaluateReference([y, ...grad(sum(y), [table.tensor])]);
  expect([...(values ?? [])]).toEqual([90, 100, 5, 6, 1, 2, 70, 80, 3, 4, 90, 100]);
  expect([...(gradient ?? [])]).toEqual([1, 1, 2, 2]);
  expect([...layer.namedParameters()].map(([name]) => name)).toEqual(['prompt_embeddings', 'base_layer.weight']);
});

test('the model’s factor on embeddings is taken off the table alone', async () => {
  const layer = new VirtualEmbedding(base, new Map([['prompt_embeddings', table]]), { vocabularySize: 3, scale: 4 });
  const [values] = await evaluateReference([layer.forward(ids)]);
  expect([...(values ?? [])]).toEqual([22.5, 25, 5, 6, 1, 2, 17.5, 20, 3, 4, 22.5, 25]);
});

test('without a table a virtual token is any token', async () => {
  const [values] = await evaluateReference([
    new VirtualEmbedding(base, new Map(), { vocabularySize: 3, scale: 1 }).forward(ids),
  ]);
  expect([...(values ?? [])]).toEqual([5, 6, 5, 6, 1, 2, 5, 6, 3, 4, 5, 6]);
});
