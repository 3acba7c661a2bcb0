import { Embedding, Parameter } from '@lowrank/nn';
import { grad, scalar, sum, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { LoraEmbedding } from './loraEmbedding.js';

const table = [1, 2, 3, 4, 5, 6];
const makeLayer = (): LoraEmbedding => new LoraEmbedding(new Embedding(tensor(table, [3, 2])), 7);
const ids = tensor(Int32Array.of(2, 0, 2), [1, 3]);
const value = async (t: Tensor): Promise<number[]> => [...((await evaluateReference([t]))[0] ?? [])];

function adapted(): { layer: LoraEmbedding; a: Parameter; b: Parameter } {
  const layer = makeLayer();
  const [a, b] = [new Parameter(tensor([10, 20, 30], [1, 3])), new Parameter(tensor([1, -1], [2, 1]))];
  layer.add('one', { a, b, scale: scalar(0.5), dropout: 0.9 });
  layer.active = ['one'];
  return { layer, a, b };
}

test('W[i] + s·Aᵀ[i]·Bᵀ; off, W[i]', async () => {
  const { layer } = adapted();
  expect([layer.inFeatures, layer.outFeatures]).toEqual([3, 2]);
  expect(await value(layer.forward(ids))).toEqual([20, -9, 6, -3, 20, -9]);
  layer.active = [];
  expect(await value(layer.forward(ids))).toEqual([5, 6, 1, 2, 5, 6]);
});

test('gradients: rows of A by how often their id comes, all of B', async () => {
  const { layer, a, b } = adapted();
  const [da, db] = grad(sum(layer.forward(ids)), [a.tensor, b.tensor]);
  expect(await value(da ?? ids)).toEqual([0, 0, 0]);
  expect(await value(db ?? ids)).toEqual([35, 35]);
  const [weighted] = grad(sum(layer.forward(tensor(Int32Array.of(2, 1), [2]))), [b.tensor]);
  expect(await value(weighted ?? ids)).toEqual([25, 25]);
});

test('a new adapter: PEFT’s names, A zero, the same numbers for the same seed', async () => {
  const layers: LoraEmbedding[] = [];
  for (const seed of [1, 1, 2]) {
    const layer = makeLayer();
    await layer.addNew('default', { rank: 4, scaling: 1, dropout: 0, init: 'gaussian', seed });
    layers.push(layer);
  }
  expect([...(layers[0]?.ownParameters().keys() ?? [])]).toEqual([
    'lora_embedding_A.default',
    'lora_embedding_B.default',
  ]);
  const [one, same, other] = await Promise.all(
    layers.map(async (layer) => value(layer.adapters.get('default')?.b.tensor ?? ids)),
  );
  expect(one).toEqual(same);
  expect(one).not.toEqual(other);
  expect(await value(layers[0]?.adapters.get('default')?.a.tensor ?? ids)).toEqual(Array.from({ length: 12 }, () => 0));
  layers[0]?.remove('default');
  expect(layers[0]?.ownParameters().size).toBe(0);
});

test('matrices of other sizes are refused', () => {
  const wrong = {
    a: new Parameter(tensor([1, 2], [1, 2])),
    b: new Parameter(tensor([1, -1], [2, 1])),
    scale: scalar(1),
    dropout: 0,
  };
  expect(() => makeLayer().add('one', wrong)).toThrow(/A \[r, 3\] and B \[2, r\].*A \[1, 2\]/);
});
