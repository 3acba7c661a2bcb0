import { concat, Rng, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import { GatedMlp } from './gatedMlp.js';
import { Linear } from './linear.js';

function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

const [gate, up, down, x] = [random(1, [5, 3]), random(2, [5, 3]), random(3, [3, 5]), random(4, [2, 3])];

async function values(mlp: GatedMlp): Promise<number[]> {
  const [y = []] = await evaluateReference([mlp.forward(x)]);
  return [...y];
}

/** down·(f(gate·x)·(up·x)), by hand. */
async function expected(f: (value: number) => number): Promise<number[]> {
  const [g = [], u = [], d = [], xs = []] = await evaluateReference([gate, up, down, x]);
  const at = (values_: ArrayLike<number>, i: number): number => values_[i] ?? NaN;
  return [0, 1].flatMap((row) => {
    const product = (w: ArrayLike<number>, out: number): number =>
      [0, 1, 2].reduce((sum, i) => sum + at(w, out * 3 + i) * at(xs, row * 3 + i), 0);
    const hidden = Array.from({ length: 5 }, (_, i) => f(product(g, i)) * product(u, i));
    return [0, 1, 2].map((out) => hidden.reduce((sum, value, i) => sum + value * at(d, out * 5 + i), 0));
  });
}

const silu = (v: number): number => v / (1 + Math.exp(-v));
const gelu = (v: number): number => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));

test.each([
  ['silu', silu],
  ['gelu_pytorch_tanh', gelu],
] as const)('%s of the gate, times the other half', async (activation, f) => {
  const mlp = new GatedMlp({ gate: new Linear(gate), up: new Linear(up), down: new Linear(down) }, activation);
  expect([...mlp.namedParameters()].map(([path]) => path)).toEqual([
    'gate_proj.weight',
    'up_proj.weight',
    'down_proj.weight',
  ]);
  const want = await expected(f);
  (await values(mlp)).forEach((value, at) => expect(Math.abs(value - (want[at] ?? NaN))).toBeLessThan(1e-6));
});

test('gate and up as one layer: the gate’s rows come first', async () => {
  const mlp = new GatedMlp({ gateUp: new Linear(concat([gate, up], 0)), down: new Linear(down) });
  expect([...mlp.children().keys()]).toEqual(['gate_up_proj', 'down_proj']);
  expect(await values(mlp)).toEqual(
    await values(new GatedMlp({ gate: new Linear(gate), up: new Linear(up), down: new Linear(down) })),
  );
});
