import type { LinearLike } from '@lowrank/nn';
import { Conv1d, Embedding, Linear, Module, withDropout } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { grad, linear, Rng, scalar, sum, tensor, transpose } from '@lowrank/tensor';
import { decodeMatrix, EncodedMatrix, evaluateReference, sourceOf, topological } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { LoraEmbedding } from '../loraEmbedding.js';
import type { LoraLayer } from '../loraLayer.js';
import { LoraLinear } from '../loraLinear.js';
import { mergeWeight } from '../numeric/merge.js';
import { dora } from './dora.js';

const [rows, input, output, rank] = [5, 7, 3, 2];
const settings = { rank, scaling: 1.5, dropout: 0, init: 'kaiming', seed: 4, variant: dora } as const;

function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

const x = random(1, [rows, input]);
const valuesOf = async (...values: Tensor[]): Promise<number[][]> =>
  (await evaluateReference(values)).map((value) => Array.from(value));

async function adapted(layer: LoraLayer): Promise<LoraLayer> {
  await layer.addNew('default', settings);
  layer.active = ['default'];
  return layer;
}

function stir(layer: LoraLayer): void {
  const weights = layer.adapters.get('default');
  for (const [at, parameter] of [weights?.a, weights?.b, weights?.vector].entries())
    if (parameter !== undefined)
      sourceOf(parameter.tensor).write(
        Float32Array.from({ length: parameter.tensor.size }, (_, i) => 0.6 + Math.sin(3 * at + i)),
      );
}

/** m/‖W + sBA‖ · (W + sBA) as [out, in], the long way. */
async function dense(layer: LoraLayer, weight: Tensor): Promise<number[][]> {
  const { a, b, vector } = layer.adapters.get('default') ?? {};
  const [w = [], left = [], right = [], m = []] = await valuesOf(
    weight,
    a?.tensor ?? x,
    b?.tensor ?? x,
    vector?.tensor ?? x,
  );
  return Array.from({ length: output }, (_, out) => {
    const row = Array.from(
      { length: input },
      (__, i) =>
        (w[out * input + i] ?? NaN) +
        settings.scaling *
          [0, 1].reduce((total, k) => total + (right[out * rank + k] ?? NaN) * (left[k * input + i] ?? NaN), 0),
    );
    return row.map((value) => (value * (m[out] ?? NaN)) / Math.hypot(...row));
  });
}

const weight = random(2, [output, input]);
const bias = tensor([0.5, -2, 1]);
const rows8 = new EncodedMatrix({ kind: 'rows8', rows: output, columns: input }, [
  tensor(
    Int8Array.from({ length: output * input }, (_, i) => ((i * 37) % 255) - 127),
    [output, input],
    { dtype: 'i8' },
  ),
  tensor([1, 2, 0.5]),
]);

/** A layer over codes, as @lowrank/quant has it. */
class Coded extends Module implements LinearLike {
  readonly inFeatures = input;
  readonly outFeatures = output;
  readonly matrix = rows8;

  forward(given: Tensor): Tensor {
    return linear(given, this.matrix);
  }
}

test.each([
  ['Linear', () => new LoraLinear(new Linear(weight, bias), 1), weight],
  ['Conv1D', () => new LoraLinear(new Conv1d(transposedNow(), bias), 1), weight],
])('%s: begins as the base, then m/‖W + sBA‖·(W + sBA)·x + bias', async (_, make, held) => {
  const layer = await adapted(make());
  const [before = [], base = []] = await valuesOf(layer.forward(x), layer.base.forward(x));
  before.forEach((value, at) => expect(value).toBeCloseTo(base[at] ?? NaN, 6));
  stir(layer);
  const [y = [], input5 = [], shift = []] = await valuesOf(layer.forward(x), x, bias);
  (await dense(layer, held)).forEach((row, out) => {
    for (let at = 0; at < rows; at++)
      expect(y[at * output + out]).toBeCloseTo(
        row.reduce((total, value, i) => total + value * (input5[at * input + i] ?? NaN), shift[out] ?? NaN),
        5,
      );
  });
});

function transposedNow(): Tensor {
  const values = new Rng(2);
  const flat = Array.from({ length: output * input }, () => values.normal());
  return tensor(
    Float32Array.from(
      { length: output * input },
      (_, at) => flat[(at % output) * input + Math.floor(at / output)] ?? NaN,
    ),
    [input, output],
  );
}

test('an embedding: each width’s column of the table has its magnitude', async () => {
  const table = random(3, [input, output]);
  const layer = await adapted(new LoraEmbedding(new Embedding(table), 1));
  stir(layer);
  const [y = []] = await valuesOf(layer.forward(tensor(Int32Array.of(6, 0), [2])));
  const want = await dense(layer, transpose(table));
  expect(y).toHaveLength(2 * output);
  want.forEach((row, out) => {
    expect(y[out]).toBeCloseTo(row[6] ?? NaN, 5);
    expect(y[output + out]).toBeCloseTo(row[0] ?? NaN, 5);
  });
});

test('over codes, which are never laid out: the same as over what they stand for', async () => {
  const layer = await adapted(new LoraLinear(new Coded(), 1));
  stir(layer);
  const [y = [], given = []] = await valuesOf(layer.forward(x), x);
  (await dense(layer, decodeMatrix(rows8))).forEach((row, out) => {
    for (let at = 0; at < rows; at++)
      expect(y[at * output + out]).toBeCloseTo(
        row.reduce((total, value, i) => total + value * (given[at * input + i] ?? NaN), 0),
        5,
      );
  });
  const names = topological([layer.forward(x)]).map((node) => (node.kind === 'op' ? node.op.name : ''));
  expect(names).not.toContain('decodeMatrix');
});

test('no gradient goes through the norm; the base stays frozen', async () => {
  const layer = await adapted(new LoraLinear(new Linear(weight), 1));
  stir(layer);
  const { vector, b } = layer.adapters.get('default') ?? {};
  if (vector === undefined || b === undefined) throw new TypeError('no magnitudes');
  const [dm, db] = grad(sum(layer.forward(x)), [vector.tensor, b.tensor]);
  const [m = [], gm = [], y = []] = await valuesOf(vector.tensor, dm ?? x, layer.forward(x));
  // y is linear in m: y = m·dy/dm.
  for (let out = 0; out < output; out++)
    expect((m[out] ?? NaN) * (gm[out] ?? NaN)).toBeCloseTo(
      Array.from({ length: rows }, (_, at) => y[at * output + out] ?? NaN).reduce((a, c) => a + c, 0),
      4,
    );
  const [gb = []] = await valuesOf(db ?? x);
  expect(gb.every(Number.isFinite)).toBe(true);
});

test('with dropout the whole product sees the dropped input', async () => {
  const layer = await adapted(new LoraLinear(new Linear(weight), 1));
  const weights = layer.adapters.get('default');
  if (weights === undefined) throw new TypeError('no adapter');
  layer.adapters.set('default', { ...weights, dropout: 0.5 });
  stir(layer);
  const random32 = { seed: scalar(3, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const [y, dropped] = withDropout(random32, () => [layer.forward(x), layer.dropped(x, { dropout: 0.5 })]);
  const [got = [], inner = [], base = [], given = []] = await valuesOf(y ?? x, dropped ?? x, layer.base.forward(x), x);
  expect(inner).not.toEqual(given);
  const [w = []] = await valuesOf(weight);
  (await dense(layer, weight)).forEach((row, out) => {
    // base(x) + (W' − W)·dropout(x), W' the merged weight.
    for (let at = 0; at < rows; at++)
      expect(got[at * output + out]).toBeCloseTo(
        row.reduce(
          (total, value, i) => total + (value - (w[out * input + i] ?? NaN)) * (inner[at * input + i] ?? NaN),
          base[at * output + out] ?? NaN,
        ),
        5,
      );
  });
});

test('merged: the same matrix, and its rows have the magnitudes for norms', async () => {
  const layer = await adapted(new LoraLinear(new Linear(weight), 1));
  stir(layer);
  const { a, b, vector } = layer.adapters.get('default') ?? {};
  const [w = [], left = [], right = [], m = []] = await valuesOf(
    weight,
    a?.tensor ?? x,
    b?.tensor ?? x,
    vector?.tensor ?? x,
  );
  const merged = new Float32Array(
    mergeWeight(new Uint8Array(Float32Array.from(w).buffer), 'F32', {
      a: Float32Array.from(left),
      b: Float32Array.from(right),
      rank,
      scaling: settings.scaling,
      variant: dora,
      vector: Float32Array.from(m),
    }).buffer,
  );
  (await dense(layer, weight)).forEach((row, out) => {
    row.forEach((value, i) => expect(merged[out * input + i]).toBeCloseTo(value, 5));
    expect(Math.hypot(...merged.subarray(out * input, (out + 1) * input))).toBeCloseTo(Math.abs(m[out] ?? NaN), 5);
  });
  expect(() =>
    mergeWeight(new Uint8Array(Float32Array.from(w).buffer), 'F32', {
      a: Float32Array.from(left),
      b: Float32Array.from(right),
      rank,
      scaling: 1,
      variant: dora,
    }),
  ).toThrow(/finite/);
});
