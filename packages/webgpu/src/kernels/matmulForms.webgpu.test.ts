import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import { WebgpuBackend } from '../backend.js';
import { defaultLimits } from '../constants.js';
import { sizeOfProduct } from './matmul.js';
import { exactInHalf, expectWithin, isHalf, magnitudeOf, randomInput, runKernel } from '../testing/kernelHarness.js';
import { testBackend, testTiers } from '../testing/kernelHarness.js';
import type { KernelCase } from '../testing/kernelHarness.js';
import { productCandidates } from '../tuning/productCandidates.js';
import type { Candidate } from '../tuning/productCandidates.js';

/** [m,k]·[k,n] of numbers, or of a right operand in 4-bit codes. */
function product(
  [m = 1, n = 1, k = 1]: readonly number[],
  { transposeA = false, transposeB = false, codes = false }: Partial<MatmulAttrs> & { codes?: boolean },
): KernelCase {
  const a = randomInput(transposeA ? [k, m] : [m, k], 1);
  const [rows, columns] = transposeB ? [n, k] : [k, n];
  if (!codes) return { op: 'matmul', attrs: { transposeA, transposeB }, inputs: [a, randomInput([rows, columns], 2)] };
  const table = Array.from({ length: 16 }, (_, code) => (code - 8) / 8);
  const encoding = { kind: 'block4' as const, rows, columns, blockSize: 32, table };
  const size = rows * columns;
  const bytes = Uint8Array.from({ length: size / 2 }, (_, at) => (at * 37) % 256);
  const absmax = Float32Array.from({ length: size / 32 }, (_, at) => 0.5 + (at % 4) / 4);
  return {
    op: 'matmul',
    attrs: { transposeA, transposeB, encoding },
    inputs: [
      a,
      { shape: [bytes.length], dtype: 'u8', data: bytes },
      { shape: [absmax.length], dtype: 'f32', data: absmax },
    ],
  };
}

// On and off multiples of four, thin, of few rows, in parts of k. A shader to compile for each form: few of them.
const cases = [
  product([36, 40, 24], {}),
  product([33, 9, 21], { transposeB: true }),
  product([20, 64, 64], { transposeB: true, codes: true }),
  product([12, 64, 32], { codes: true }),
  product([12, 8, 516], { transposeA: true }),
  product([3, 20, 64], { transposeB: true }),
];

/**
 * Some of the forms, from the nearest to the farthest; `LOWRANK_ALL_FORMS=1` takes them all, which the shaders of
 * software adapters need minutes for.
 */
function chosen(candidates: readonly Candidate[]): readonly Candidate[] {
  const every = process.env['LOWRANK_ALL_FORMS'] === '1' ? 1 : Math.min(8, candidates.length);
  return candidates.filter((_, at) => at % every === every - 1);
}

describe.each(testTiers)('every form to choose among, %s kernels', (tier) => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await testBackend(tier);
  });
  afterAll(() => backend.dispose());

  it.each(cases.map((test, at) => [at, test] as const))('multiplies right: case %i', async (_, given) => {
    const test = isHalf(tier) ? exactInHalf(given) : given;
    const attrs = test.attrs as MatmulAttrs;
    const size = sizeOfProduct(test.inputs, attrs);
    const candidates = chosen(productCandidates(size, { profile: backend.profile, limits: defaultLimits }));
    expect(candidates.length).toBeGreaterThan(0);
    // Codes decode to 1.25 at most.
    const magnitude = (attrs.encoding === undefined ? magnitudeOf(test)[0] : undefined) ?? 1.25 * size.k;
    const check = async ({ form }: Candidate): Promise<void> => {
      const forced = new WebgpuBackend(backend.device, { tier, tuning: { measured: () => form } });
      const { actual, expected } = await runKernel(forced, test);
      expectWithin(actual[0], expected[0], { c: 2 + Math.sqrt(size.k), magnitude });
    };
    await Promise.all(candidates.map(check));
  });
});
