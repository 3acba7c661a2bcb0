import { Linear } from '@lowrank/nn';
import { Rng, tensor } from '@lowrank/tensor';
import { evaluateReference } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import type { LoraInit } from '../loraInit.js';
import { LoraLinear } from '../loraLinear.js';
import { initOf } from '../initOf.js';
import { orthonormalColumns } from '../numeric/orthonormal.js';
import { truncatedSvd } from '../numeric/svd.js';

const sizes = { rank: 4, inFeatures: 9, outFeatures: 6, scaling: 2 };
const random = (seed: number, length: number): Float32Array => {
  const rng = new Rng(seed);
  return Float32Array.from({ length }, () => rng.normal());
};
const weight = random(1, 54);

/** s·B·A [out, in] */
function product({ a, b }: { a: ArrayLike<number>; b: ArrayLike<number> }, scaling = 1): number[] {
  return Array.from({ length: 54 }, (_, at) => {
    let total = 0;
    for (let k = 0; k < 4; k++) total += (b[Math.floor(at / 9) * 4 + k] ?? NaN) * (a[k * 9 + (at % 9)] ?? NaN);
    return scaling * total;
  });
}

async function part(name: LoraInit): Promise<{ a: Float32Array; b: Float32Array }> {
  const init = initOf(name);
  if (!('from' in init)) throw new TypeError(name);
  return init.from(weight, { ...sizes, rng: new Rng(3) });
}

test('orthogonal: A and B are both random, BA is 0, in whichever order they are drawn; an odd rank is refused', () => {
  const init = initOf('orthogonal');
  if (!('draw' in init)) throw new TypeError('orthogonal');
  const one = init.draw({ ...sizes, rng: new Rng(3, 5) });
  const two = init.draw({ ...sizes, rng: new Rng(3, 5) });
  const [b, a] = [two.b?.() ?? [], two.a()];
  expect([one.a(), one.b?.()]).toEqual([a, b]);
  expect(Math.hypot(...a)).toBeGreaterThan(0.2);
  expect(Math.hypot(...b)).toBeGreaterThan(0.2);
  for (const value of product({ a, b })) expect(Math.abs(value)).toBeLessThan(1e-8);
  expect(() => init.draw({ ...sizes, rank: 3, rng: new Rng(3) })).toThrow(/even rank.*3/);
});

test('gaussian: standard deviation 1/r', () => {
  const init = initOf('gaussian');
  if (!('draw' in init)) throw new TypeError('gaussian');
  const a = init.draw({ rank: 8, inFeatures: 500, outFeatures: 2, scaling: 1, rng: new Rng(3) }).a();
  expect(Math.sqrt(a.reduce((total, value) => total + value * value, 0) / a.length)).toBeCloseTo(1 / 8, 2);
});

test('olora: B has orthonormal columns, and W − BA vanishes on the first r columns', async () => {
  const { a, b } = await part('olora');
  for (let k = 0; k < 4; k++)
    for (let l = 0; l <= k; l++)
      expect(
        Array.from({ length: 6 }, (_, row) => (b[row * 4 + k] ?? NaN) * (b[row * 4 + l] ?? NaN)).reduce(
          (x, y) => x + y,
        ),
      ).toBeCloseTo(k === l ? 1 : 0, 6);
  product({ a, b }).forEach((value, at) => at % 9 < 4 && expect(value).toBeCloseTo(weight[at] ?? NaN, 5));
});

test('pissa: s·BA is the best approximation of W, exactly or in steps; A and B share singular values', async () => {
  const exact = await part('pissa');
  const rest = (given: { a: Float32Array; b: Float32Array }): number =>
    Math.hypot(...product(given, 2).map((value, at) => value - (weight[at] ?? NaN)));
  expect(rest(exact)).toBeLessThan(rest(await part('olora')));
  expect(rest(await part('pissa_niter_6'))).toBeCloseTo(rest(exact), 5);
  for (let k = 0; k < 4; k++)
    expect(Math.hypot(...exact.a.subarray(9 * k, 9 * k + 9))).toBeCloseTo(
      Math.hypot(...Array.from({ length: 6 }, (_, row) => exact.b[row * 4 + k] ?? NaN)),
      5,
    );
});

test.each([
  ['wide', weight, 9, 6],
  ['tall', random(2, 45), 5, 9],
] as const)(
  'mica, W %s: B has the directions that W has least of, and A is 0',
  async (_, w, inFeatures, outFeatures) => {
    const init = initOf('mica');
    if (!('from' in init)) throw new TypeError('mica');
    const { a, b } = await init.from(Float32Array.from(w), {
      rank: 2,
      scaling: 1,
      inFeatures,
      outFeatures,
      rng: new Rng(3),
    });
    expect(a).toEqual(new Float32Array(2 * inFeatures));
    const { u, s } = truncatedSvd(w, {
      rows: outFeatures,
      columns: inFeatures,
      rank: Math.min(inFeatures, outFeatures),
    });
    for (const k of [0, 1]) {
      const from = (s.length - 2 + k) * outFeatures;
      const cosine = Array.from({ length: outFeatures }, (_, row) => b[row * 2 + k] * u[from + row]);
      expect(Math.abs(cosine.reduce((sum, part) => sum + part, 0))).toBeCloseTo(1, 6);
    }
  },
);

test('columns that depend on others become 0', () => {
  expect(Array.from(orthonormalColumns([3, 6, 0, 4, 8, 0], 3, 3), (value) => value + 0)).toEqual(
    [0.6, 0, 0, 0.8, 0, 0].map((value) => expect.closeTo(value, 12) as number),
  );
});

test.each<LoraInit>(['olora', 'pissa', 'pissa_niter_3', 'orthogonal'])(
  '%s: the layer begins as the base within 1e-6, which is not changed',
  async (init) => {
    const base = new Linear(tensor(weight, [6, 9]));
    const layer = new LoraLinear(base, 7);
    await layer.addNew('default', { rank: 4, scaling: 1.5, dropout: 0, init, seed: 2 });
    layer.active = ['default'];
    const x = tensor(random(5, 27), [3, 9]);
    const [y = [], plain = [], held = []] = await evaluateReference([
      layer.forward(x),
      base.forward(x),
      base.weight.tensor,
    ]);
    y.forEach((value, at) => expect(Math.abs(value - (plain[at] ?? NaN))).toBeLessThan(1e-6));
    expect(Float32Array.from(held)).toEqual(weight);
  },
);

test('a rank beyond W, and an alpha of 0, are refused', async () => {
  const layer = new LoraLinear(new Linear(tensor(weight, [6, 9])), 7);
  const options = { rank: 7, scaling: 1, dropout: 0, init: 'pissa', seed: 2 } as const;
  await expect(layer.addNew('default', options)).rejects.toThrow(/rank up to 6.*7/);
  await expect(layer.addNew('default', { ...options, rank: 2, scaling: 0 })).rejects.toThrow(/above 0/);
});
