import { describe, it } from 'vitest';
import type { MatmulAttrs, ProductEpilogue, ProductPart } from '@lowrank/tensor/op';
import type { KernelTuning } from '../../choices.js';
import type { Tier } from '../../profile.js';
import {
  checkInHalves,
  exactInHalf,
  expectWithin,
  isHalf,
  randomInput,
  runKernel,
  scalarInput,
  testBackend,
  testTiers,
} from '../../testing/kernelHarness.js';
import type { KernelCase, TestInput } from '../../testing/kernelHarness.js';

interface Term {
  readonly k: number;
  readonly rank: number;
  readonly transposed: boolean;
}

/** Operands of one product [m,k]·[k,n] with a low-rank part; `a` where the products share it. */
function term({ k, rank, transposed }: Term, [m, n]: readonly [number, number], seed: number) {
  const a = randomInput([m, k], seed);
  const b = randomInput(transposed ? [n, k] : [k, n], seed + 1);
  const thin =
    rank === 0 ? [] : [randomInput([m, rank], seed + 2), randomInput(transposed ? [n, rank] : [rank, n], seed + 3)];
  const attrs = {
    transposeA: false,
    transposeB: transposed,
    ...(rank > 0 && ({ lowRank: transposed ? 'nt' : 'nn' } as const)),
  };
  return { attrs, inputs: [a, b, ...thin] };
}

async function check(
  tier: Tier,
  test: KernelCase,
  { magnitude, inHalves = magnitude, tuning = {} }: { magnitude: number; inHalves?: number; tuning?: KernelTuning },
) {
  const backend = await testBackend(tier, tuning);
  try {
    const own = isHalf(tier) ? exactInHalf(test) : test;
    const { actual, expected } = await runKernel(backend, own);
    expected.forEach((want, at) => expectWithin(actual[at], want, { c: 24, magnitude }));
    await checkInHalves(backend, own, { c: 24, magnitude: inHalves });
  } finally {
    backend.dispose();
  }
}

const matmul = (attrs: MatmulAttrs, inputs: TestInput[], inPlace: [number, number][] = []): KernelCase => ({
  op: 'matmul',
  attrs,
  inputs,
  inPlace,
});

describe.each(testTiers)('products with more than one result or sum, %s kernels', (tier) => {
  it.each([
    [17, 13, false],
    [36, 20, true],
  ] as const)('adds a second product of %d×%d in the same sums, transposed %s', async (m, n, transposed) => {
    const first = term({ k: 19, rank: 0, transposed }, [m, n], 1);
    const second = term({ k: 32, rank: 4, transposed }, [m, n], 10);
    const attrs = { ...first.attrs, further: [second.attrs], addend: 'full' } as const;
    const added = randomInput([m, n], 30);
    await check(tier, matmul(attrs, [...first.inputs, ...second.inputs, added]), { magnitude: 20 });
  });

  it.each([
    [33, 36, true],
    [5, 7, undefined],
  ] as const)(
    'makes the gradients of gate and up over them, and what they were joined to: %d×%d %s',
    async (m, n, forward) => {
      const { attrs, inputs } = term({ k: 24, rank: 4, transposed: false }, [m, n], 1);
      const epilogue: ProductEpilogue = { form: 'swigluGradient', ...(forward === true && { forward }) };
      const beside = [randomInput([m, n], 20), randomInput([m, n], 21)];
      const places: [number, number][] = [
        [4, 0],
        [5, 1],
      ];
      await check(tier, matmul({ ...attrs, epilogue }, [...inputs, ...beside], places), { magnitude: 20 });
    },
  );
});

describe('gate and up side by side', () => {
  // As many operands as every adapter binds, each in a buffer of its own here.
  it.each([
    { keeps: true, size: [67, 36], ranks: [0, 0] },
    { keeps: false, size: [5, 7], ranks: [8, 0] },
    { keeps: false, size: [67, 36], ranks: [0, 4] },
  ] as const)('joins them where they are written: %j', async ({ keeps, size, ranks: [ofGate, ofUp] }) => {
    const gate = term({ k: 24, rank: ofGate, transposed: true }, size, 1);
    const [a = randomInput([1], 1), ...rest] = gate.inputs;
    const up = term({ k: 24, rank: ofUp, transposed: true }, size, 10);
    const attrs = { ...gate.attrs, further: [up.attrs], epilogue: { form: 'swiglu', keeps } } as const;
    const test = matmul(attrs, [a, ...rest, a, ...up.inputs.slice(1)]);
    await check('portable', test, { magnitude: 100, tuning: { matmul: 'bigTile' } });
  });
});

const tileTiers = testTiers.filter((tier) => tier !== 'registers' && tier !== 'matrices');

describe.each(tileTiers)('thin products with the gradients of gate and up, %s kernels', (tier) => {
  const ofRows = { over: 'rows', transposed: false, scaled: false } as const;
  const ofColumns = { over: 'columns', transposed: false, scaled: false } as const;
  // Two at a time: as many operands as every adapter binds.
  it.each([
    [8, { ...ofRows, of: 2 }, { ...ofColumns, of: 1 }],
    [4, { ...ofRows, of: 1, transposed: true, scaled: true }, { ...ofColumns, of: 0, transposed: true }],
    [12, { ...ofColumns, of: 0, scaled: true }, { ...ofColumns, of: 2, transposed: true }],
  ] as const)('sums them by tiles: rank %d, %j, %j', async (rank, ...parts: readonly ProductPart[]) => {
    const [m, n] = [131, 100];
    const { attrs, inputs } = term({ k: 24, rank: 0, transposed: false }, [m, n], 1);
    const epilogue: ProductEpilogue = { form: 'swigluGradient' };
    const beside = [randomInput([m, n], 20), randomInput([m, n], 21)];
    const thin = parts.flatMap(({ over, transposed, scaled }, at) => {
      const [long, flipped] = [over === 'rows' ? m : n, over === 'columns' && transposed];
      const t = randomInput(flipped ? [rank, long] : [long, rank], 30 + at);
      return scaled ? [t, scalarInput(0.25)] : [t];
    });
    const places: [number, number][] = [
      [2, 0],
      [3, 1],
    ];
    const test = matmul({ ...attrs, epilogue, parts }, [...inputs, ...beside, ...thin], places);
    // Sums are of results as they are stored: 131 of them, each half a unit of 16 bits off.
    await check(tier, test, { magnitude: 200, inHalves: 2000, tuning: { matmul: 'bigTile' } });
  });
});
