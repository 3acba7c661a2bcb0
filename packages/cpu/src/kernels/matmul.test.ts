import type { Backend, DType, Shape } from '@lowrank/tensor';
import type { MatmulAttrs } from '@lowrank/tensor/op';
import { sizeOf } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import type { TestTensor } from './testing.js';
import { epsilon, normal, reference, run, runOp, worstError, seedNumbers } from './testing.js';

seedNumbers();

/**
 * |error| ≤ c·ε·Σ|a||b| with c = 8, for sums of up to 1,500 products of either sign; f32 sums of one sign would need
 * c ≈ √K/3.
 */
const bound = 8;

const sizes = [
  [1, 1, 1],
  [1, 64, 64],
  [3, 17, 5],
  [2, 1031, 9],
  [4, 8, 4],
  [5, 7, 3],
  [6, 8, 512],
  [7, 13, 513],
  [19, 41, 23],
  [31, 65, 67],
  [50, 530, 3],
  [5, 9, 1030],
] as const;

/** Numbers between −1 and 1 that cost little to make. */
function cheap(shape: Shape, start: number): TestTensor {
  const data = new Float32Array(sizeOf(shape));
  for (let i = 0, seed = start; i < data.length; i++)
    data[i] = (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) / 2 ** 31;
  return { shape, dtype: 'f32', data };
}

describe.each([
  ['one thread, relaxed', { threads: 1 }],
  ['one thread, baseline', { threads: 1, relaxedSimd: false }],
  ['two threads', { threads: 2 }],
] as const)('matmul, %s', (_, options) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend(options)));
  afterAll(() => backend.dispose());

  async function check(
    inputs: readonly TestTensor[],
    attrs: MatmulAttrs,
    inPlace: readonly (readonly [number, number])[] = [],
  ): Promise<void> {
    const { outputs, expected } = await runOp([backend, 'matmul'], inputs, attrs, { inPlace });
    const [scale] = reference('matmul', inputs, attrs, Math.abs);
    const [actual, want] = [outputs[0] ?? new Float64Array(), expected[0] ?? new Float64Array()];
    expect(worstError(actual, want, (at) => scale?.[at] ?? 0)).toBeLessThan(bound);
  }

  /** Large products are checked at some places only: the reference is slow. */
  async function checkSample(
    { batch, m, n, k }: { batch: number; m: number; n: number; k: number },
    transposeB: boolean,
  ): Promise<void> {
    const stack = batch === 1 ? [] : [batch];
    const [a, b] = [cheap([...stack, m, k], 1), cheap([...stack, ...(transposeB ? [n, k] : [k, n])], 77)];
    const actual = await run([backend, 'matmul'], [a, b], { transposeA: false, transposeB });
    for (let place = 0; place < actual.length; place += 97) {
      const [which, row, column] = [Math.floor(place / (m * n)), Math.floor(place / n) % m, place % n];
      let [total, scale] = [0, 0];
      for (let i = 0; i < k; i++) {
        const product =
          (a.data[(which * m + row) * k + i] ?? NaN) *
          (b.data[which * n * k + (transposeB ? column * k + i : i * n + column)] ?? NaN);
        total += product;
        scale += Math.abs(product);
      }
      expect(Math.abs((actual[place] ?? NaN) - total)).toBeLessThan(bound * epsilon * scale);
    }
  }

  const flip = ([rows, columns]: readonly [number, number], transposed: boolean): Shape =>
    transposed ? [columns, rows] : [rows, columns];

  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('transposed %s, %s: every size, f32, f16 and bf16', async (transposeA, transposeB) => {
    for (const [m, n, k] of sizes) {
      for (const dtype of ['f32', 'f16', 'bf16'] satisfies DType[]) {
        await check([normal(flip([m, k], transposeA)), normal(flip([k, n], transposeB), dtype)], {
          transposeA,
          transposeB,
        });
      }
    }
  });

  test.each(['nt', 'nn'] as const)('with a low-rank part (%s) and addends', async (lowRank) => {
    for (const [m, n, k] of sizes) {
      const attrs = { transposeA: false, transposeB: true, lowRank };
      const parts = (rank: number): TestTensor[] => [
        normal([m, k]),
        normal([n, k], 'bf16'),
        normal([m, rank]),
        normal(lowRank === 'nt' ? [n, rank] : [rank, n]),
      ];
      if (m < 10) await check(parts(8), attrs);
      await check([...parts(13), normal([n])], { ...attrs, addend: 'row' });
      await check([...parts(1), normal([m, n])], { ...attrs, addend: 'full' }, [[4, 0]]);
    }
  });

  test('stacks of matrices, with and without an addend', async () => {
    for (const [transposeA, transposeB] of [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ] as const) {
      const [batch, m, n, k] = [5, 9, 19, 33];
      const inputs = [
        normal([batch, ...flip([m, k], transposeA)]),
        normal([batch, ...flip([k, n], transposeB)], 'f16'),
      ];
      await check(inputs, { transposeA, transposeB });
      await check([...inputs, normal([batch, m, n])], { transposeA, transposeB, addend: 'full' });
      await check([...inputs, normal([n])], { transposeA, transposeB, addend: 'row' });
    }
  });

  test('B beyond the packing limit is packed in pieces', async () => {
    await checkSample({ batch: 1, m: 5, n: 4100, k: 1100 }, true);
    await checkSample({ batch: 1, m: 5, n: 4100, k: 1100 }, false);
    await checkSample({ batch: 3, m: 5, n: 1700, k: 1500 }, false);
  });

  test('NaN and infinity come through', async () => {
    const a = normal([9, 20]);
    a.data[25] = NaN;
    a.data[45] = Infinity;
    const { outputs } = await runOp([backend, 'matmul'], [a, normal([20, 11])], {
      transposeA: false,
      transposeB: false,
    });
    expect([...(outputs[0] ?? [])].slice(11, 22).every(Number.isNaN)).toBe(true);
    expect([...(outputs[0] ?? [])].slice(22, 33).every((x) => Math.abs(x) === Infinity)).toBe(true);
    expect([...(outputs[0] ?? [])].slice(33).every(Number.isFinite)).toBe(true);
  });
});
