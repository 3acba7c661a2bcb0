import { Linear, withDropout } from '@lowrank/nn';
import type { Tensor } from '@lowrank/tensor';
import { compile, grad, mul, Rng, scalar, square, sum, tensor } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor/backend';
import { evaluateReference, ReferenceBackend, sourceOf } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { LoraLinear } from './loraLinear.js';

const [rows, input, output, rank] = [5, 7, 3, 2];

function random(seed: number, shape: readonly number[]): Tensor {
  const rng = new Rng(seed);
  return tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
    shape,
  );
}

const x = random(1, [rows, input]);
const settings = { rank, scaling: 2, dropout: 0, init: 'kaiming', seed: 4 } as const;

function makeLayer(): LoraLinear {
  return new LoraLinear(new Linear(random(2, [output, input])), 11);
}

/** With numbers in B, so that the adapter does something. */
async function withAdapter(layer: LoraLinear, name: string, seed: number): Promise<LoraLinear> {
  await layer.addNew(name, settings);
  sourceOf(layer.adapters.get(name)?.b.tensor ?? x).write(
    Float32Array.from({ length: output * rank }, (_, i) => Math.sin(seed + i)),
  );
  return layer;
}

async function valueOf(y: Tensor): Promise<number[]> {
  return Array.from((await evaluateReference([y]))[0] ?? []);
}

test('a new adapter changes nothing', async () => {
  const layer = makeLayer();
  await layer.addNew('default', settings);
  layer.active = ['default'];
  expect(await valueOf(layer.forward(x))).toEqual(await valueOf(layer.base.forward(x)));
});

test('y = W x + s·B A x, adapters add up, and off is the base', async () => {
  const layer = await withAdapter(await withAdapter(makeLayer(), 'one', 1), 'two', 2);
  const base = await valueOf(layer.forward(x));
  layer.active = ['one'];
  const one = await valueOf(layer.forward(x));
  layer.active = ['two'];
  const two = await valueOf(layer.forward(x));
  layer.active = ['one', 'two'];
  const both = await valueOf(layer.forward(x));
  base.forEach((value, i) =>
    expect((both[i] ?? NaN) - value).toBeCloseTo((one[i] ?? NaN) - value + ((two[i] ?? NaN) - value), 9),
  );
  expect(one).not.toEqual(base);
  layer.active = [];
  expect(await valueOf(layer.forward(x))).toEqual(base);

  const [a = [], b = []] = await evaluateReference([
    layer.adapters.get('one')?.a.tensor ?? x,
    layer.adapters.get('one')?.b.tensor ?? x,
  ]);
  const xs = await valueOf(x);
  let want = 0;
  for (let k = 0; k < rank; k++)
    for (let i = 0; i < input; i++) want += 2 * (b[k] ?? NaN) * (a[k * input + i] ?? NaN) * (xs[i] ?? NaN);
  expect((one[0] ?? NaN) - (base[0] ?? NaN)).toBeCloseTo(want, 9);
});

test('the scaling is data: one plan serves every scaling', async () => {
  const layer = await withAdapter(makeLayer(), 'default', 1);
  layer.active = ['default'];
  const step = compile(new ReferenceBackend(), () => ({ y: layer.forward(x) }));
  const run = async (scaling: number): Promise<number[]> => {
    const { scale } = layer.adapters.get('default') ?? {};
    if (scale !== undefined) scale.value = scaling;
    return Array.from(await (await step.run()).y);
  };
  const [zero, one, three] = [await run(0), await run(1), await run(3)];
  zero.forEach((value, i) => expect((three[i] ?? NaN) - value).toBeCloseTo(3 * ((one[i] ?? NaN) - value), 4));
  await step.dispose();
});

test('gradients: dA = s·(dY·B)ᵀ·X, dB = s·dYᵀ·(X·Aᵀ)', async () => {
  const layer = await withAdapter(makeLayer(), 'default', 1);
  layer.active = ['default'];
  const { a, b } = layer.adapters.get('default') ?? {};
  if (a === undefined || b === undefined) throw new TypeError('an adapter');
  const [da = [], db = [], dy = [], xs = [], as = [], bs = []] = await evaluateReference([
    ...grad(mul(sum(square(layer.forward(x))), 0.5), [a.tensor, b.tensor]),
    layer.forward(x),
    x,
    a.tensor,
    b.tensor,
  ]);
  let [wantA, wantB] = [0, 0];
  for (let n = 0; n < rows; n++) {
    for (let o = 0; o < output; o++)
      wantA += 2 * (dy[n * output + o] ?? NaN) * (bs[o * rank + 1] ?? NaN) * (xs[n * input + 4] ?? NaN);
    for (let i = 0; i < input; i++)
      wantB += 2 * (dy[n * output + 2] ?? NaN) * (xs[n * input + i] ?? NaN) * (as[i] ?? NaN);
  }
  expect(da[input + 4]).toBeCloseTo(wantA, 9);
  expect(db[2 * rank]).toBeCloseTo(wantB, 9);
});

test(
  'planned, the low-rank part is an epilogue of the base’s product: two kernels of matmul, and ' + 'never B·A',
  async () => {
    const layer = await withAdapter(makeLayer(), 'default', 1);
    layer.active = ['default'];
    const plan = planFunction(() => ({ y: layer.forward(x) }), {}, new ReferenceBackend().spec);
    const matmuls = plan.steps.filter(({ op }) => op === 'matmul');
    expect(matmuls.length).toBe(2);
    expect(matmuls.at(-1)?.attrs).toMatchObject({ lowRank: 'nt' });
    for (const { outputs } of plan.steps)
      for (const { shape } of outputs) expect(shape.join()).not.toBe(`${output},${input}`);
  },
);

test('dropout is on the adapter’s input, while training alone', async () => {
  const layer = makeLayer();
  await layer.addNew('default', { ...settings, dropout: 0.5 });
  sourceOf(layer.adapters.get('default')?.b.tensor ?? x).write(new Float32Array(output * rank).fill(1));
  layer.active = ['default'];
  const state = { seed: scalar(1, { dtype: 'u32' }), step: scalar(0, { dtype: 'u32' }) };
  const training = withDropout(state, () => layer.forward(x));
  const plain = await valueOf(layer.forward(x));
  const first = await valueOf(training);
  expect(first).not.toEqual(plain);
  expect(await valueOf(training)).toEqual(first);
  state.step.value = 1;
  expect(await valueOf(training)).not.toEqual(first);
  expect(await valueOf(layer.base.forward(x))).toEqual(await valueOf(makeLayer().forward(x)));
});

test('A is uniform within ±1/√in or normal with deviation 1/r, by seed; B is zero', async () => {
  const wide = new LoraLinear(new Linear(random(2, [4, 400])), 3);
  await wide.addNew('kaiming', { ...settings, rank: 20 });
  await wide.addNew('again', { ...settings, rank: 20 });
  await wide.addNew('other', { ...settings, rank: 20, seed: 5 });
  await wide.addNew('gaussian', { ...settings, rank: 20, init: 'gaussian' });
  const of = async (name: string): Promise<number[]> => valueOf(wide.adapters.get(name)?.a.tensor ?? x);
  const kaiming = await of('kaiming');
  expect(Math.max(...kaiming.map(Math.abs))).toBeLessThanOrEqual(1 / 20);
  const deviation = (values: number[]): number =>
    Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
  expect(deviation(kaiming)).toBeCloseTo(1 / 20 / Math.sqrt(3), 3);
  expect(deviation(await of('gaussian'))).toBeCloseTo(1 / 20, 2);
  expect(await of('again')).toEqual(kaiming);
  expect(await of('other')).not.toEqual(kaiming);
  expect(await valueOf(wide.adapters.get('kaiming')?.b.tensor ?? x)).toEqual(Array.from({ length: 80 }, () => 0));
});

test('names are PEFT’s; a removed adapter is freed', async () => {
  const layer = await withAdapter(makeLayer(), 'default', 1);
  layer.active = ['default'];
  expect([...layer.namedParameters()].map(([path]) => path)).toEqual([
    'lora_A.default.weight',
    'lora_B.default.weight',
    'base_layer.weight',
  ]);
  const { a } = layer.adapters.get('default') ?? {};
  layer.remove('default');
  expect([...layer.namedParameters()].map(([path]) => path)).toEqual(['base_layer.weight']);
  expect(layer.active).toEqual([]);
  await expect(evaluateReference([a?.tensor ?? x])).rejects.toThrow(/disposed/);
});

test('what does not fit is refused', async () => {
  const layer = await withAdapter(makeLayer(), 'default', 1);
  await expect(layer.addNew('default', settings)).rejects.toThrow(/not taken/);
  const weights = layer.adapters.get('default');
  if (weights === undefined) throw new TypeError('an adapter');
  expect(() => layer.add('swapped', { ...weights, a: weights.b, b: weights.a })).toThrow(/A \[r, 7\] and B \[3, r\]/);
});
