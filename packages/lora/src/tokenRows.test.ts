import { Embedding, Linear, Parameter, projected } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { Rng, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { TokenRows, tokenWeights } from './tokenRows.js';

const [vocabulary, width] = [7, 3];
const rng = new Rng(4);
const random = (...shape: number[]): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
const numbers = async (value: Tensor): Promise<number[]> => [...((await evaluateReference([value]))[0] ?? [])];
const table = random(vocabulary, width);
const ids = tensor(Int32Array.of(0, 5, 2, 6), [2, 2]);

/** A layer with the rows of tokens 5 and 2, and the same table with those rows in place. */
async function both(): Promise<{ rows: Parameter; replaced: Tensor }> {
  const rows = new Parameter(random(2, width));
  const [all, own] = [await numbers(table), await numbers(rows.tensor)];
  [5, 2].forEach((id, at) => all.splice(id * width, width, ...own.slice(at * width, (at + 1) * width)));
  return { rows, replaced: tensor(Float32Array.from(all), [vocabulary, width]) };
}

function close(got: readonly number[], want: readonly number[], bound: number): void {
  expect(got).toHaveLength(want.length);
  got.forEach((value, at) => expect(Math.abs(value - (want[at] ?? NaN))).toBeLessThanOrEqual(bound));
}

test('an embedding looks up the trained rows, exactly, and the base’s while off', async () => {
  const { rows, replaced } = await both();
  const layer = new TokenRows(new Embedding(table));
  layer.add('a', tokenWeights([5, 2], vocabulary, rows));
  const base = await numbers(new Embedding(table).forward(ids));
  expect(await numbers(layer.forward(ids))).toEqual(base);
  layer.active = ['a'];
  expect(await numbers(layer.forward(ids))).toEqual(await numbers(new Embedding(replaced).forward(ids)));
  layer.active = [];
  expect(await numbers(layer.forward(ids))).toEqual(base);
});

test('an output projection has them as a term of few columns, with a leader’s rows or its own', async () => {
  const { rows, replaced } = await both();
  const leader = new TokenRows(new Embedding(table));
  leader.add('a', tokenWeights([5, 2], vocabulary, rows));
  const head = new TokenRows(new Linear(table), leader);
  head.active = ['a'];
  const x = random(4, width);
  const want = await numbers(new Linear(replaced).forward(x));
  close(await numbers(head.forward(x)), want, 1e-6);
  const parts = head.parts(x);
  expect(parts.terms.map(({ h, b }) => [h.shape, b.shape])).toEqual([
    [
      [4, 2],
      [vocabulary, 2],
    ],
  ]);
  close(await numbers(projected(x, parts)), want, 1e-6);
});

test('a removed adapter leaves the base, and its rows are freed', async () => {
  const { rows } = await both();
  const layer = new TokenRows(new Embedding(table));
  layer.add('a', tokenWeights([5, 2], vocabulary, rows));
  layer.active = ['a'];
  expect([...layer.ownParameters().keys()]).toEqual([
    'token_adapter.trainable_tokens_delta.a',
    'token_adapter.ids.a',
    'token_adapter.places.a',
  ]);
  layer.remove('a');
  expect([layer.active, [...layer.ownParameters()], layer.adapters.size]).toEqual([[], [], 0]);
  expect(await numbers(layer.forward(ids))).toEqual(await numbers(new Embedding(table).forward(ids)));
});

test('a token beyond the vocabulary is refused', () =>
  expect(() => tokenWeights([7], vocabulary, new Parameter(random(1, width)))).toThrow(
    /trained token 7.*below the vocabulary's size, 7/,
  ));
