import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import { WebgpuBackend } from '../backend.js';
import { chooseProduct } from '../choices.js';
import type { KernelTuning } from '../choices.js';
import {
  checkInHalves,
  exactInHalf,
  expectWithin,
  isHalf,
  magnitudeOf,
  given,
  randomInput,
  runKernel,
  productTiers,
  testBackend,
} from '../testing/kernelHarness.js';
import type { KernelCase } from '../testing/kernelHarness.js';

// c grows with the length of the sum; 2 + √k covers the rounding of k products added in any order, with room.
const constant = (k: number): number => 2 + Math.sqrt(k);

const transposes = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

// Odd sizes on scalar loads, multiples of 4 on vector loads, skinny ones, single rows: few of them, since each is a
// shader to compile.
const sizes = [
  [17, 13, 19],
  [65, 36, 68],
  [8, 70, 64],
  [67, 8, 33],
  [1, 29, 64],
];

function product([m = 1, n = 1, k = 1]: readonly number[], attrs: Partial<MatmulAttrs>, batch?: number): KernelCase {
  const { transposeA = false, transposeB = false } = attrs;
  const lead = batch === undefined ? [] : [batch];
  const a = randomInput([...lead, ...(transposeA ? [k, m] : [m, k])], 1);
  const b = randomInput([...lead, ...(transposeB ? [n, k] : [k, n])], 2);
  return { op: 'matmul', attrs: { transposeA, transposeB, ...attrs }, inputs: [a, b] };
}

describe.each(productTiers)('matmul, %s kernels', (tier) => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await testBackend(tier);
  });
  afterAll(() => backend.dispose());

  // Numbers that f16 holds exactly: there the bound of f32 holds for operands of 16 bits too.
  async function check(given: KernelCase, k: number, on = backend): Promise<void> {
    const test = isHalf(tier) ? exactInHalf(given) : given;
    const { actual, expected } = await runKernel(on, test);
    const bound = { c: constant(k), magnitude: magnitudeOf(test)[0] ?? 0 };
    expectWithin(actual[0], expected[0], bound);
    await checkInHalves(on, test, bound);
  }

  it.each(transposes)('multiplies awkward sizes, transposed %s %s', async (transposeA, transposeB) => {
    // Both transposed never happens in a network: one scalar and one vector form of it.
    const some = transposeA && transposeB ? sizes.slice(0, 2) : [[1, 1, 1], ...sizes];
    await Promise.all(some.map((size) => check(product(size, { transposeA, transposeB }), size[2] ?? 1)));
  });

  it('splits long sums, in every form', async () => {
    const forms = {
      registers: [{ splitK: 3 }],
      lanes: [{ splitK: 3 }],
      matrices: [{ matmul: 'matrix', splitK: 3 }, { matmul: 'bigMatrix' }],
    } as const satisfies Partial<Record<typeof tier, KernelTuning[]>>;
    const tiled = [{ matmul: 'tile', splitK: 3 }, { matmul: 'bigTile' }] as const satisfies KernelTuning[];
    const tunings: readonly KernelTuning[] = tier in forms ? forms[tier as keyof typeof forms] : tiled;
    for (const tuning of tunings) {
      const tuned = new WebgpuBackend(backend.device, { tier: backend.profile.tier, tuning });
      const cases = [
        product([17, 13, 67], {}),
        product([9, 36, 64], { transposeB: true }),
        product([68, 70, 40], { transposeA: true }),
      ];
      // A big tile differs from a tile in its shape alone.
      const some = !('splitK' in tuning) ? cases.slice(1, 2) : cases;
      await Promise.all(some.map((test) => check(test, 67, tuned)));
    }
  });

  it('multiplies stacks of matrices', async () => {
    await Promise.all([
      check(product([9, 12, 20], { transposeB: true }, 3), 20),
      check(product([5, 7, 9], { transposeA: true }, 2), 9),
    ]);
  });

  it.each(['f16', 'bf16'] as const)('reads %s weights', async (dtype) => {
    const cases = [
      [5, 7, 9, 1],
      [20, 24, 32, 0],
      [20, 24, 32, 1],
      [1, 12, 64, 1],
    ].map(([m = 1, n = 1, k = 1, transposed = 0]) => {
      const test = product([m, n, k], { transposeB: transposed === 1 });
      return {
        ...test,
        inputs: [...test.inputs.slice(0, 1), randomInput(transposed === 1 ? [n, k] : [k, n], 3, dtype)],
      };
    });
    await Promise.all(cases.map((test) => check(test, 64)));
  });

  it('adds a low-rank part and an addend', async () => {
    const cases = [
      { size: [5, 7, 9], rank: 3, lowRank: 'nt', addend: 'row' },
      { size: [40, 36, 64], rank: 8, lowRank: 'nt', addend: 'full' },
      { size: [40, 36, 64], rank: 8, lowRank: 'nn', addend: undefined },
      { size: [1, 40, 32], rank: 8, lowRank: 'nt', addend: 'row' },
      { size: [1, 40, 32], rank: 5, lowRank: 'nn', addend: 'full' },
      { size: [9, 13, 11], rank: 2, lowRank: undefined, addend: 'row' },
    ] as const;
    await Promise.all(
      cases.map(({ size: [m, n, k], rank, lowRank, addend }) => {
        const test = product([m, n, k], { transposeB: true, lowRank, addend });
        const extra =
          lowRank === undefined
            ? []
            : [randomInput([m, rank], 4), randomInput(lowRank === 'nt' ? [n, rank] : [rank, n], 5)];
        const added = addend === undefined ? [] : [randomInput(addend === 'row' ? [n] : [m, n], 6)];
        return check({ ...test, inputs: [...test.inputs, ...extra, ...added] }, k + rank);
      }),
    );
  });

  it('scales what it sums, before the addend', async () => {
    const cases = [
      { size: [5, 7, 9], addend: undefined },
      { size: [40, 36, 64], addend: 'full' },
      { size: [1, 40, 32], addend: 'row' },
      // In parts, whose sum is scaled.
      { size: [8, 24, 2048], addend: 'row' },
    ] as const;
    await Promise.all(
      cases.map(({ size: [m, n, k], addend }) => {
        const test = product([m, n, k], { transposeB: true, scaled: true, addend });
        const added = addend === undefined ? [] : [randomInput(addend === 'row' ? [n] : [m, n], 6)];
        return check({ ...test, inputs: [...test.inputs, ...added, randomInput([], 7)] }, k);
      }),
    );
  });

  it('writes over its addend', async () => {
    const cases = [
      [6, 10, 7],
      [33, 64, 16],
    ].map(([m = 1, n = 1, k = 1]): KernelCase => {
      const test = product([m, n, k], { addend: 'full' });
      return { ...test, inputs: [...test.inputs, randomInput([m, n], 6)], inPlace: [[2, 0]] };
    });
    await Promise.all(cases.map((test) => check(test, 16)));
  });

  it('rounds operands to what its tier computes with, and sums in 32 bits', async () => {
    // 2049 is no number of f16, and 1/4096 of 1 is lost in its sums.
    const [m, n, k] = [32, 32, 512];
    const a = given(
      Array.from({ length: m * k }, (_, i) => (i % k === 0 ? 2049 : 1)),
      [m, k],
    );
    const b = given(
      Array.from({ length: k * n }, (_, i) => (i < n ? 1 : 2 ** -12)),
      [k, n],
    );
    const { actual } = await runKernel(backend, {
      op: 'matmul',
      attrs: { transposeA: false, transposeB: false },
      inputs: [a, b],
    });
    expect(new Set(actual[0])).toEqual(new Set([(isHalf(tier) ? 2048 : 2049) + (k - 1) / 4096]));
  });

  it('adds up long sums', async () => {
    await Promise.all([
      check(product([3, 5, 2050], {}), 2050),
      check(product([8, 24, 2048], { transposeA: true }), 2048),
    ]);
  });
});

const byLanes = productTiers.filter((tier) => tier === 'lanes');

it.each(byLanes)('lays %s along the columns, or along the rows where columns are few', async (tier) => {
  const { device, profile } = await testBackend(tier);
  const lies = { transposeA: false, transposeB: true, encoded: false, operands: 'f32·f32', fused: false };
  const size = { batch: 1, m: 64, n: 64, k: 64, ...lies };
  const lanes = profile.subgroups?.max;
  expect(chooseProduct(size, { profile, tuning: {} })).toMatchObject({ kind: 'lanes', wx: lanes, wy: 1 });
  expect(chooseProduct({ ...size, n: 8 }, { profile, tuning: {} })).toMatchObject({ kind: 'lanes', wx: 1, wy: lanes });
  device.dispose();
});

describe('products of few rows, which make their left operand', () => {
  it('normalizes rows, or joins gate and up, as it reads them', async () => {
    const backend = await testBackend('portable');
    const norm = { form: 'rmsNorm', epsilon: 1e-5 } as const;
    const cases = [
      { size: [1, 40, 64], left: norm },
      { size: [3, 20, 36], left: norm, lowRank: 'nt' },
      { size: [2, 7, 9], left: norm },
      { size: [1, 40, 64], left: { form: 'swiglu' } },
      { size: [3, 7, 9], left: { form: 'swiglu' }, lowRank: 'nt' },
    ] as const;
    try {
      await Promise.all(
        cases.map(async ({ size: [m, n, k], left, ...rest }) => {
          const test = product([m, n, k], { transposeB: true, left, ...rest, addend: 'row' });
          const [a = randomInput([m, k], 1), b = a] = test.inputs;
          const beside = randomInput(left.form === 'swiglu' ? [m, k] : [k], 8);
          const extra = 'lowRank' in rest ? [randomInput([m, 4], 4), randomInput([n, 4], 5)] : [];
          const inputs = [a, beside, b, ...extra, randomInput([n], 6)];
          const { actual, expected } = await runKernel(backend, { ...test, inputs });
          expectWithin(actual[0], expected[0], { c: 4 * constant(k), magnitude: 2 * k });
        }),
      );
    } finally {
      backend.dispose();
    }
  });
});

describe('matmul beyond 65,535 workgroups in one dimension', () => {
  it('computes a matrix–vector product of many columns', async () => {
    const backend = await testBackend('portable');
    try {
      const test = product([1, 4 * 65_535 + 5, 3], { transposeB: true });
      const { actual, expected } = await runKernel(backend, test);
      expectWithin(actual[0], expected[0], { c: 4, magnitude: 3 });
      expect(actual[0]?.length).toBe(262_145);
    } finally {
      backend.dispose();
    }
  });
});
