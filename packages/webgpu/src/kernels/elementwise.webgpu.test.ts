import { elementwiseFunctions } from '@lowrank/tensor/backend';
import type { ElementwiseName, ElementwiseInstruction } from '@lowrank/tensor/backend';
import { expect, it } from 'vitest';
import { describeKernel, given, randomInput, scalarInput } from '../testing/kernelHarness.js';
import type { TestInput } from '../testing/kernelHarness.js';

const names = Object.keys(elementwiseFunctions) as ElementwiseName[];
const positive = new Set<ElementwiseName>(['log', 'sqrt', 'rsqrt', 'clipScale']);
const exact = new Set<ElementwiseName>([
  'copy',
  'neg',
  'abs',
  'sign',
  'floor',
  'relu',
  'minimum',
  'maximum',
  'less',
  'lessEqual',
  'equal',
  'isFinite',
  'select',
]);
const apart = (input: TestInput): TestInput => ({
  ...input,
  data: input.data.map((value) => Math.abs(value) + 0.25) as Float32Array,
});

describeKernel('elementwise', ({ check, run }) => {
  // WGSL grants sin and cos an absolute 2⁻¹¹ only; everything else a few ulp.
  it.each(names)('computes %s', async (fn) => {
    const { arity } = elementwiseFunctions[fn];
    for (const size of [7, 68]) {
      const inputs = Array.from({ length: arity }, (_, at) => randomInput([size], at + 1)).map((input) =>
        positive.has(fn) || fn === 'div' ? apart(input) : input,
      );
      const program: ElementwiseInstruction[] = [{ fn, args: inputs.map((_, at) => at) }];
      const c = exact.has(fn)
        ? 0
        : fn === 'sin' || fn === 'cos'
          ? 2 ** 12
          : fn === 'tanh' || fn === 'geluTanh'
            ? 100
            : fn === 'gelu' || fn === 'normalCdf'
              ? 32
              : 16;
      await check({ op: 'elementwise', attrs: { program, shape: [size] }, inputs }, { c, magnitude: 4 });
    }
  });

  it('broadcasts inputs, constants and scalars in one fused program', async () => {
    for (const [a, b, c] of [
      [4, 3, 5],
      [2, 3, 8],
      [1, 1, 4],
    ] as const) {
      const shape = [a, b, c];
      const inputs = [
        randomInput(shape, 1),
        randomInput([c], 2),
        randomInput([b, 1], 3),
        randomInput([a, 1, c], 4),
        scalarInput(0.5),
        randomInput([], 5),
      ];
      const program: ElementwiseInstruction[] = [
        { fn: 'constant', value: -1.25 },
        { fn: 'mul', args: [0, 1] },
        { fn: 'add', args: [7, 2] },
        { fn: 'mul', args: [8, 3] },
        { fn: 'sub', args: [9, 4] },
        { fn: 'mul', args: [10, 5] },
        { fn: 'add', args: [11, 6] },
      ];
      await check({ op: 'elementwise', attrs: { program, shape }, inputs }, { c: 8, magnitude: 4 });
      await check({ op: 'elementwise', attrs: { program, shape }, inputs, inPlace: [[0, 0]] }, { c: 8, magnitude: 4 });
    }
  });

  it('fills without inputs, with numbers that have no literal too', async () => {
    for (const value of [0, -0.1, 1e-30, Infinity, -Infinity, 16777216]) {
      await check(
        { op: 'elementwise', attrs: { program: [{ fn: 'constant', value }], shape: [5] }, inputs: [] },
        { c: 0.5, magnitude: Math.abs(value) },
      );
    }
    const { actual } = await run({
      op: 'elementwise',
      attrs: { program: [{ fn: 'constant', value: NaN }], shape: [3] },
      inputs: [],
    });
    expect([...(actual[0] ?? [])]).toEqual([NaN, NaN, NaN]);
  });

  it('lets no NaN vanish', async () => {
    for (const fn of [
      'relu',
      'minimum',
      'maximum',
      'tanh',
      'geluTanh',
      'gelu',
      'normalCdf',
      'exp',
      'add',
      'silu',
    ] as const) {
      const inputs = [given([NaN, 1, NaN, 2, 3, NaN, 0, 1]), given([1, NaN, NaN, 2, 3, 0, NaN, 1])].slice(
        0,
        elementwiseFunctions[fn].arity,
      );
      const { actual, expected } = await run({
        op: 'elementwise',
        attrs: { program: [{ fn, args: inputs.map((_, at) => at) }], shape: [8] },
        inputs,
      });
      expect({ fn, nan: [...(actual[0] ?? [])].map(Number.isNaN) }).toEqual({
        fn,
        nan: [...(expected[0] ?? [])].map(Number.isNaN),
      });
    }
    const clip = await run({
      op: 'elementwise',
      attrs: { program: [{ fn: 'clipScale', args: [0, 1] }], shape: [4] },
      inputs: [given([NaN, Infinity, 4, 4]), given([1, 1, 1, 0])],
    });
    expect([...(clip.actual[0] ?? [])].map((value) => Math.round(value * 1000) / 1000)).toEqual([NaN, NaN, 0.5, 1]);
  });

  it('covers more elements than 65,535 workgroups of 64', async () => {
    const size = 65_536 * 64 * 4 + 12;
    const { actual } = await run({
      op: 'elementwise',
      attrs: { program: [{ fn: 'constant', value: 3 }], shape: [size] },
      inputs: [],
    });
    expect(actual[0]?.length).toBe(size);
    expect(actual[0]?.at(-1)).toBe(3);
    expect(actual[0]?.every((value) => value === 3)).toBe(true);
  });
});
