import type { Backend } from '@lowrank/tensor';
import type { ElementwiseName, ElementwiseInstruction } from '@lowrank/tensor/backend';
import { elementwiseFunctions } from '@lowrank/tensor/backend';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import type { TestTensor } from './testing.js';
import { normal, runOp, value, worstError, seedNumbers } from './testing.js';

seedNumbers();

/** Units of rounding by which one function may miss, beyond 1: relative to the value. */
const looser: Partial<Record<ElementwiseName, number>> = {
  exp: 3,
  tanh: 6,
  sigmoid: 5,
  silu: 6,
  geluTanh: 100,
  gelu: 20,
  normalCdf: 20,
  rsqrt: 3,
  log: 2,
  sin: 2,
  cos: 2,
  clipScale: 2,
};
const special = [
  0,
  -0,
  1,
  -1,
  0.5,
  1e-30,
  -1e-30,
  20,
  -20,
  88.5,
  -87,
  -100,
  200,
  -200,
  1e30,
  -1e30,
  Infinity,
  -Infinity,
  NaN,
];

describe.each([{ threads: 1 }, { threads: 2 }, { threads: 1, relaxedSimd: false }])('elementwise %o', (options) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend(options)));
  afterAll(() => backend.dispose());

  async function check(
    inputs: TestTensor[],
    program: ElementwiseInstruction[],
    shape: readonly number[],
    { bound, inPlace = [] }: { bound: number; inPlace?: [number, number][] },
  ): Promise<void> {
    const { outputs, expected } = await runOp([backend, 'elementwise'], inputs, { program, shape }, { inPlace });
    const [actual, want] = [outputs[0] ?? new Float64Array(), expected[0] ?? new Float64Array()];
    expect(
      worstError(
        actual,
        want.map((x) => Math.fround(x)),
        (at) => Math.abs(want[at] ?? 0),
      ),
    ).toBeLessThanOrEqual(bound);
  }

  test.each(Object.keys(elementwiseFunctions) as ElementwiseName[])(
    '%s on ordinary and special numbers',
    async (fn) => {
      const { arity } = elementwiseFunctions[fn];
      const args = Array.from({ length: arity }, (_, i) => i);
      for (const size of [1, 3, 256, 1031]) {
        await check(
          args.map(() => normal([size])),
          [{ fn, args }],
          [size],
          { bound: looser[fn] ?? 1 },
        );
      }
      // Sines of huge numbers are not asked for.
      const numbers = fn === 'sin' || fn === 'cos' ? special.filter((x) => Math.abs(x) < 1e9) : special;
      const pairs = numbers.flatMap((a) => numbers.map((b) => [a, b] as const));
      const columns = [pairs.map(([a]) => a), pairs.map(([, b]) => b), pairs.map(([a, b]) => (a === 1 ? b : 2))];
      const values = columns.slice(0, arity).map((column) => value([pairs.length], column));
      const { outputs, expected } = await runOp([backend, 'elementwise'], values, {
        program: [{ fn, args }],
        shape: [pairs.length],
      });
      expected[0]?.forEach((want, at) => {
        const got = outputs[0]?.[at] ?? NaN;
        const rounded = Math.fround(want);
        // Results below the smallest normal number may be flushed or lose bits.
        if (Number.isNaN(rounded) || !Number.isFinite(rounded))
          expect([fn, pairs[at], got]).toEqual([fn, pairs[at], rounded]);
        else if (Math.abs(rounded) > 2 ** -126)
          expect(Math.abs(got - rounded) / Math.abs(rounded)).toBeLessThan(12 * 2 ** -24);
        else expect(Math.abs(got - rounded)).toBeLessThan(2 ** -125);
      });
    },
  );

  test('broadcasting in every pattern', async () => {
    const add: ElementwiseInstruction[] = [{ fn: 'add', args: [0, 1] }];
    const patterns: [number[], number[], number[]][] = [
      [[7, 5], [5], [7, 5]],
      [
        [7, 5],
        [7, 1],
        [7, 5],
      ],
      [
        [7, 1],
        [1, 5],
        [7, 5],
      ],
      [
        [2, 3, 5, 7],
        [3, 1, 7],
        [2, 3, 5, 7],
      ],
      [
        [2, 3, 5, 7],
        [2, 1, 5, 1],
        [2, 3, 5, 7],
      ],
      [
        [300, 1],
        [1, 301],
        [300, 301],
      ],
      [[1], [40, 50], [40, 50]],
      [[], [11], [11]],
    ];
    for (const [a, b, shape] of patterns) await check([normal(a), normal(b)], add, shape, { bound: 1 });
    await check([normal([3, 1])], [{ fn: 'copy', args: [0] }], [2, 3, 4], { bound: 0 });
  });

  test('constants, programs of many instructions, no inputs at all', async () => {
    await check([], [{ fn: 'constant', value: 0.1 }], [1000], { bound: 1 });
    const program: ElementwiseInstruction[] = [
      { fn: 'constant', value: 3 },
      { fn: 'mul', args: [0, 1] },
      { fn: 'add', args: [3, 2] },
      { fn: 'square', args: [3] },
      { fn: 'less', args: [4, 5] },
      { fn: 'select', args: [6, 0, 4] },
    ];
    for (const size of [1, 255, 257, 2000]) await check([normal([size]), normal([])], program, [size], { bound: 2 });
    const long: ElementwiseInstruction[] = Array.from({ length: 30 }, (_, i) => ({
      fn: i % 2 === 0 ? 'neg' : 'abs',
      args: [i],
    }));
    await check([normal([777])], long, [777], { bound: 0 });
  });

  test('in the place of an input', async () => {
    const program: ElementwiseInstruction[] = [
      { fn: 'exp', args: [1] },
      { fn: 'mul', args: [2, 0] },
      { fn: 'maximum', args: [3, 1] },
    ];
    for (const size of [1, 255, 1000]) {
      await check([normal([size]), normal([size])], program, [size], { bound: 6, inPlace: [[0, 0]] });
      await check([normal([size]), normal([size])], program, [size], { bound: 6, inPlace: [[1, 0]] });
    }
  });
});
