import type { LinearLike } from '@lowrank/nn';
import { Conv1d, Embedding, Linear, Module, Parameter } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { linear, Rng, scalar, tensor } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor/backend';
import { EncodedMatrix, evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { LoraMatrices } from '../loraAdapter.js';
import { loraConfig } from '../config.js';
import { LoraEmbedding } from '../loraEmbedding.js';
import { LoraLinear } from '../loraLinear.js';
import { variantOf } from '../variantOf.js';
import { LoraBankEmbedding } from './embedding.js';
import { bankEntry } from './entry.js';
import { LoraBankLinear } from './linear.js';
import { BankMix } from './mix.js';

const [input, output, length] = [7, 5, 2];

function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

function matrices(seed: number, rank: number, more: Partial<LoraMatrices> = {}): LoraMatrices {
  const rng = new Rng(seed);
  const draw = (size: number): Float32Array => Float32Array.from({ length: size }, () => rng.normal());
  return { a: draw(rank * input), b: draw(output * rank), rank, inFeatures: input, outFeatures: output, ...more };
}

const valuesOf = async (y: Tensor): Promise<Float64Array> => (await evaluateReference([y]))[0] ?? new Float64Array();
const config = loraConfig({ targetModules: ['it'], r: 2, alpha: 3 });

/** base + Σ w·s·B·A·x for each row of x [B, length, in], the long way. */
async function wanted(
  base: Tensor,
  x: Tensor,
  rows: readonly (readonly [weight: number, scaling: number, given: LoraMatrices][])[],
): Promise<number[]> {
  const [y, values] = [Array.from(await valuesOf(base)), await valuesOf(x)];
  rows.forEach((uses, row) => {
    for (const [weight, scaling, { a, b, rank }] of uses) {
      for (let at = row * length; at < (row + 1) * length; at++) {
        for (let out = 0; out < output; out++) {
          for (let k = 0; k < rank; k++)
            for (let i = 0; i < input; i++)
              y[at * output + out] =
                (y[at * output + out] ?? NaN) +
                weight *
                  scaling *
                  (b[out * rank + k] ?? NaN) *
                  (a[k * input + i] ?? NaN) *
                  (values[at * input + i] ?? NaN);
        }
      }
    }
  });
  return y;
}

function expectNear(got: ArrayLike<number>, want: ArrayLike<number>): void {
  expect(got.length).toBe(want.length);
  Array.from(want).forEach((value, at) => expect(got[at]).toBeCloseTo(value, 4));
}

const weight = random(2, [output, input]);
const rows8 = new EncodedMatrix({ kind: 'rows8', rows: output, columns: input }, [
  tensor(
    Int8Array.from({ length: output * input }, (_, i) => ((i * 37) % 255) - 127),
    [output, input],
    { dtype: 'i8' },
  ),
  tensor([1, 2, 0.5, 3, 1]),
]);

class Coded extends Module implements LinearLike {
  readonly inFeatures = input;
  readonly outFeatures = output;

  forward(x: Tensor): Tensor {
    return linear(x, rows8);
  }
}

test.each([
  ['Linear with a bias', () => new Linear(weight, random(3, [output]))],
  ['Conv1D', () => new Conv1d(random(4, [input, output]))],
  ['codes', () => new Coded()],
] as [string, () => LinearLike][])('%s: each row its own sum of adapters of unequal ranks', async (_, make) => {
  const base = make();
  const mix = new BankMix({ rows: 3, slots: 2, rank: 4 });
  const layer = new LoraBankLinear(base, mix);
  const [one, two] = [matrices(5, 2), matrices(6, 4)];
  const x = random(1, [3, length, input]);
  expect(await valuesOf(layer.forward(x))).toEqual(await valuesOf(base.forward(x)));
  for (const [slot, given] of [one, two].entries())
    layer.write(slot, await bankEntry(new LoraLinear(base, 0), given, { config, path: 'it', rank: 4 }));
  mix.write(Float32Array.of(0, 0, 1, 0, -0.5, 2));
  expectNear(
    await valuesOf(layer.forward(x)),
    await wanted(base.forward(x), x, [
      [],
      [[1, 1.5, one]],
      [
        [-0.5, 1.5, one],
        [2, 1.5, two],
      ],
    ]),
  );
  // A smaller batch has the first rows; a larger one is refused.
  const two0 = random(7, [2, length, input]);
  expectNear(await valuesOf(layer.forward(two0)), await wanted(base.forward(two0), two0, [[], [[1, 1.5, one]]]));
  expect(() => layer.forward(random(1, [4, length, input]))).toThrow(/at most 3 rows, got 4/);
  // What replaces a larger adapter leaves nothing of it.
  layer.write(1, await bankEntry(new LoraLinear(base, 0), one, { config, path: 'it', rank: 4 }));
  layer.write(0, undefined);
  mix.write(Float32Array.of(1, 1, 0, 0, 1, 0));
  expectNear(await valuesOf(layer.forward(x)), await wanted(base.forward(x), x, [[[1, 1.5, one]], [], []]));
});

test('one row for all: whatever the batch and its axes', async () => {
  const base = new Linear(weight);
  const mix = new BankMix({ rows: 1, slots: 1, rank: 2 });
  const layer = new LoraBankLinear(base, mix);
  const one = matrices(5, 2);
  layer.write(0, await bankEntry(new LoraLinear(base, 0), one, { config, path: 'it', rank: 2 }));
  mix.write(Float32Array.of(-1));
  for (const shape of [
    [2, length, input],
    [2 * length, input],
    [1, 2 * length, input],
  ]) {
    const x = random(1, shape);
    expectNear(
      await valuesOf(layer.forward(x)),
      await wanted(base.forward(x), x, [[[-1, 1.5, one]], [[-1, 1.5, one]]]),
    );
  }
});

test('biases of B and DoRA: what a layer with that adapter alone computes', async () => {
  for (const settings of [{ useDora: true }, { loraBias: true }, { useDora: true, useRslora: true }] as const) {
    const base = new Linear(weight, random(3, [output]));
    const own = loraConfig({ ...config, ...settings });
    const given = matrices(5, 2, {
      ...('useDora' in settings ? { vector: Float32Array.of(1, 2, 3, 4, 5) } : {}),
      ...('loraBias' in settings ? { bias: Float32Array.of(5, 4, 3, 2, 1) } : {}),
    });
    const beside = new LoraLinear(base, 0);
    const mix = new BankMix({ rows: 2, slots: 2, rank: 3 });
    const layer = new LoraBankLinear(base, mix, { loraBias: true, factors: true });
    const entry = await bankEntry(beside, given, { config: own, path: 'it', rank: 3 });
    layer.write(1, entry);
    mix.write(Float32Array.of(0, 1, 0, 0));
    const { a, b, bias, vector } = given;
    const parameter = (values: Float32Array, shape: readonly number[]): Parameter =>
      new Parameter(tensor(values.slice(), shape), false);
    const weights = {
      a: parameter(a, [2, input]),
      b: parameter(b, [output, 2]),
      scale: scalar('useRslora' in settings ? 3 / Math.SQRT2 : 1.5),
      dropout: 0,
      variant: variantOf(own),
      bias: bias === undefined ? undefined : parameter(bias, [output]),
      vector: vector === undefined ? undefined : parameter(vector, [output]),
    };
    beside.add('it', (await variantOf(own).prepare?.(beside, weights)) ?? weights);
    beside.active = ['it'];
    const x = random(1, [2, length, input]);
    const [got, want, plain] = [
      await valuesOf(layer.forward(x)),
      await valuesOf(beside.forward(x)),
      await valuesOf(base.forward(x)),
    ];
    const half = length * output;
    expectNear(got.subarray(0, half), want.subarray(0, half));
    expectNear(got.subarray(half), plain.subarray(half));
    layer.write(1, undefined);
    mix.write(Float32Array.of(0, 1, 0, 1));
    expectNear(await valuesOf(layer.forward(x)), plain);
  }
});

test('an embedding: rows of Aᵀ by id', async () => {
  const base = new Embedding(random(8, [input, output]));
  const mix = new BankMix({ rows: 2, slots: 2, rank: 3 });
  const layer = new LoraBankEmbedding(base, mix);
  const given = matrices(5, 2, { embedding: true });
  layer.write(1, await bankEntry(new LoraEmbedding(base, 0), given, { config, path: 'it', rank: 3 }));
  mix.write(Float32Array.of(0, 2, 0, 0));
  const ids = tensor(Int32Array.of(6, 0, 3, 6), [2, length]);
  const oneHot = tensor(
    Float32Array.from({ length: 4 * input }, (_, at) => ([6, 0, 3, 6][Math.floor(at / input)] === at % input ? 1 : 0)),
    [2, length, input],
  );
  expectNear(await valuesOf(layer.forward(ids)), await wanted(base.forward(ids), oneHot, [[[2, 1.5, given]], []]));
});

test(
  'planned, a bank is an epilogue of the base’s product, as one adapter is: one kernel more than two ' + 'products',
  () => {
    const spec = new ReferenceBackend().spec;
    for (const [base, rows] of [
      [new Linear(weight, random(3, [output])), 1],
      [new Linear(weight), 3],
      [new Coded(), 3],
    ] as const) {
      const layer = new LoraBankLinear(base, new BankMix({ rows, slots: 2, rank: 2 }));
      const plan = planFunction(() => ({ y: layer.forward(random(1, [3, length, input])) }), {}, spec);
      expect(plan.steps.map(({ op }) => op)).toEqual(['matmul', 'elementwise', 'matmul']);
      expect(plan.steps.at(-1)?.attrs).toMatchObject({ lowRank: 'nn' });
    }
  },
);
