import type { Backend } from '@lowrank/tensor';
import type { AttrsOf, KernelName } from '@lowrank/tensor/backend';
import { sizeOf } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import type { RunOpOptions, TestTensor } from './testing.js';
import { integers, normal, reference, runOp, value, worstError, seedNumbers } from './testing.js';

seedNumbers();

describe.each([1, 2])('kernels on %i threads', (threads) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend({ threads })));
  afterAll(() => backend.dispose());

  /** |error| ≤ bound·ε·|scale| for every output; the scale is the output itself unless given. */
  async function check<Name extends KernelName>(
    name: Name,
    inputs: readonly TestTensor[],
    attrs: AttrsOf<Name>,
    options: RunOpOptions & { bound: number; scales?: Float64Array[] },
  ): Promise<void> {
    const { outputs, expected } = await runOp([backend, name], inputs, attrs, options);
    outputs.forEach((actual, which) => {
      const want = expected[which] ?? new Float64Array();
      const scale = options.scales?.[which] ?? want;
      expect([name, which, worstError(actual, want, (at) => Math.abs(scale[at] ?? 0))]).toSatisfy(
        ([, , worst]) => worst <= options.bound,
      );
    });
  }

  const rowShapes = [
    [1, 1],
    [3, 5],
    [2, 3, 64],
    [7, 67],
    [65, 192],
    [2, 1031],
  ];

  test('rmsNorm, its input gradient (in place too) and its weight gradient', async () => {
    for (const shape of rowShapes) {
      const width = shape.at(-1) ?? 1;
      const [x, w, g] = [normal(shape), normal([width]), normal(shape)];
      const attrs = { epsilon: 1e-5 };
      await check('rmsNorm', [x, w], attrs, { bound: 4 });
      // dx is a difference; its terms are bounded by |f·g·w| + |x·f³·mean|x·g·w||.
      const rows = sizeOf(shape) / width;
      const scale = new Float64Array(sizeOf(shape));
      for (let row = 0; row < rows; row++) {
        const pick = (t: TestTensor, i: number): number => Math.abs(t.data[row * width + i] ?? NaN);
        let [squares, dot] = [0, 0];
        for (let i = 0; i < width; i++) {
          squares += pick(x, i) ** 2;
          dot += pick(x, i) * pick(g, i) * Math.abs(w.data[i] ?? NaN);
        }
        const f = 1 / Math.sqrt(squares / width + attrs.epsilon);
        for (let i = 0; i < width; i++)
          scale[row * width + i] = f * (pick(g, i) * Math.abs(w.data[i] ?? NaN) + (pick(x, i) * f * f * dot) / width);
      }
      await check('rmsNormBackward', [x, w, g], attrs, { bound: 8, scales: [scale] });
      await check('rmsNormBackward', [x, w, g], attrs, { bound: 8, scales: [scale], inPlace: [[2, 0]] });
      await check('rmsNormWeightGradient', [x, g], attrs, {
        bound: 4,
        scales: reference('rmsNormWeightGradient', [x, g], attrs, Math.abs),
      });
    }
  });

  test('layerNorm, its input gradient (in place too) and its weight gradient', async () => {
    for (const shape of rowShapes.slice(1)) {
      const width = shape.at(-1) ?? 1;
      const [x, w, b, g] = [normal(shape), normal([width]), normal([width]), normal(shape)];
      const attrs = { epsilon: 1e-5 };
      // Sums of terms of either sign: every term is bounded by the largest one over the whole, times the factor of its
      // row.
      const largest = (least: number, t: TestTensor): number =>
        Math.max(least, ...Array.from(t.data, (each) => Math.abs(Number(each))));
      const factor = 1 / Math.sqrt(0.05);
      const size = largest(1, x) * largest(1, w) * factor;
      const rows = sizeOf(shape) / width;
      const filled = (count: number, by: number): Float64Array[] => [new Float64Array(count).fill(by)];
      await check('layerNorm', [x, w, b], attrs, { bound: 4, scales: filled(rows * width, size) });
      await check('layerNormBackward', [x, w, g], attrs, {
        bound: 8,
        scales: filled(rows * width, size * largest(1, g)),
      });
      await check('layerNormBackward', [x, w, g], attrs, {
        bound: 8,
        scales: filled(rows * width, size * largest(1, g)),
        inPlace: [[2, 0]],
      });
      await check('layerNormWeightGradient', [x, g], attrs, {
        bound: 4,
        scales: filled(width, size * largest(1, g) * Math.sqrt(rows)),
      });
      // A mean a thousand times the spread costs x its own last bits, and the squares nothing more.
      const far = value(
        shape,
        Array.from(x.data, (each) => Number(each) + 1000),
      );
      await check('layerNorm', [far, w, b], attrs, { bound: 1000, scales: filled(rows * width, size) });
    }
  });

  test('rope, both ways, whole and partial heads', async () => {
    for (const [batch, length, heads, size, half] of [
      [1, 1, 1, 2, 1],
      [2, 5, 3, 10, 5],
      [1, 9, 2, 64, 32],
      [2, 3, 1, 21, 7],
    ] as const) {
      const inputs = [
        normal([batch, length, heads, size]),
        normal([40, half]),
        normal([40, half]),
        integers([batch, length], 40),
      ];
      for (const inverse of [false, true])
        await check(
          'rope',
          inputs,
          { inverse },
          {
            bound: 4,
            scales: reference('rope', inputs, { inverse: true }, Math.abs).map((s, i) =>
              s.map((x, at) =>
                Math.max(x, Math.abs(reference('rope', inputs, { inverse: false }, Math.abs)[i]?.[at] ?? 0)),
              ),
            ),
          },
        );
    }
  });

  test('swiglu and its gradient, in place too', async () => {
    for (const size of [1, 3, 1024, 1031, 5000]) {
      const [gate, up, g] = [normal([size]), normal([size]), normal([size])];
      await check('swiglu', [gate, up], {}, { bound: 8 });
      await check('swiglu', [gate, up], {}, { bound: 8, inPlace: [[1, 0]] });
      const magnitude = Float64Array.from(gate.data, (_, i) => Math.abs((g.data[i] ?? 0) * (up.data[i] ?? 0)));
      const scales = [magnitude, reference('swigluBackward', [gate, up, g], {})[1] ?? magnitude];
      await check('swigluBackward', [gate, up, g], {}, { bound: 16, scales });
      await check(
        'swigluBackward',
        [gate, up, g],
        {},
        {
          bound: 16,
          scales,
          inPlace: [
            [2, 0],
            [1, 1],
          ],
        },
      );
      await check(
        'swigluBackward',
        [gate, up, g],
        {},
        {
          bound: 16,
          scales,
          inPlace: [
            [0, 0],
            [1, 1],
          ],
        },
      );
    }
    await check('swiglu', [value([4], [-200, 200, -Infinity, NaN]), value([4], [1, 1, 1, 1])], {}, { bound: 8 });
  });

  test('crossEntropyRows with and without gradient, ignored labels, in place', async () => {
    for (const [rows, width] of [
      [1, 1],
      [3, 7],
      [5, 1031],
      [9, 4096],
    ] as const) {
      const logits = value(
        [rows, width],
        Array.from(normal([rows, width]).data, (x) => 4 * x),
      );
      const labels = integers([rows], width, -1);
      const scales = [new Float64Array(rows).fill(16), new Float64Array(rows * width).fill(1)];
      await check('crossEntropyRows', [logits, labels], { gradient: true }, { bound: 16, scales });
      await check('crossEntropyRows', [logits, labels], { gradient: true }, { bound: 16, scales, inPlace: [[0, 1]] });
      const terms = { gradient: true, labelSmoothing: 0.1, zLoss: 0.01 };
      // Z² is up to 400, and twice Z scales the gradient.
      const wider = [new Float64Array(rows).fill(64), new Float64Array(rows * width).fill(4)];
      await check('crossEntropyRows', [logits, labels], terms, { bound: 16, scales: wider });
      await check('crossEntropyRows', [logits, labels], terms, { bound: 16, scales: wider, inPlace: [[0, 1]] });
      const { outputs, expected } = await runOp([backend, 'crossEntropyRows'], [logits, labels], { gradient: false });
      expect(worstError(outputs[0] ?? new Float64Array(), expected[0] ?? new Float64Array(), () => 16)).toBeLessThan(4);
    }
    const { outputs } = await runOp(
      [backend, 'crossEntropyRows'],
      [value([2, 3], [1000, 0, -1000, NaN, 0, 0]), value([2], [0, 1], 'i32')],
      { gradient: true },
    );
    expect(outputs[0]).toEqual(Float64Array.of(0, NaN));
  });

  test('argmax takes the first among equals', async () => {
    for (const shape of rowShapes)
      await check(
        'argmax',
        [integers(shape, 5)].map((x) => value(shape, x.data)),
        {},
        { bound: 0 },
      );
  });

  test('reduce: sums and maxima along any run of axes', async () => {
    for (const [outer, length, inner] of [
      [1, 1, 1],
      [7, 13, 1],
      [1, 40000, 1],
      [2, 40000, 1],
      [3, 5, 7],
      [1, 800, 192],
      [2, 3, 65],
      [1, 2, 1031],
    ] as const) {
      const x = normal([outer, length, inner]);
      const shape = [outer, inner];
      await check(
        'reduce',
        [x],
        { kind: 'sum', outer, length, inner, shape },
        { bound: 4, scales: reference('reduce', [x], { kind: 'sum', outer, length, inner, shape }, Math.abs) },
      );
      await check('reduce', [x], { kind: 'max', outer, length, inner, shape }, { bound: 0 });
    }
  });

  test('squaredNorm, also of what is not finite', async () => {
    for (const size of [1, 3, 64, 16384, 50001]) await check('squaredNorm', [normal([size])], {}, { bound: 2 });
    await check('squaredNorm', [value([3], [1, Infinity, 2])], {}, { bound: 0 });
    await check('squaredNorm', [value([3], [1, NaN, 2])], {}, { bound: 0 });
  });

  test('gatherRows of every encoding, scatterAddRows with repeats', async () => {
    for (const [rows, width, count] of [
      [1, 1, 1],
      [7, 5, 13],
      [300, 192, 40],
      [11, 33, 100],
    ] as const) {
      const ids = integers([count], rows);
      for (const dtype of ['f32', 'f16', 'bf16'] as const)
        await check('gatherRows', [normal([rows, width], dtype), ids], {}, { bound: 0 });
      const codes = Array.from({ length: rows * width }, (_, i) => ((i * 37) % 255) - 127);
      await check('gatherRows', [value([rows, width], codes, 'i8'), ids], {}, { bound: 0 });
      const g = normal([count, width]);
      await check(
        'scatterAddRows',
        [g, ids],
        { rows },
        {
          bound: 16,
          scales: reference('scatterAddRows', [{ ...g, data: Float32Array.from(g.data, Math.abs) }, ids], { rows }),
        },
      );
    }
  });

  test('permute, slice, pad, concat', async () => {
    const x = normal([3, 4, 5, 7]);
    for (const axes of [
      [0, 1, 2, 3],
      [1, 0, 2, 3],
      [3, 2, 1, 0],
      [0, 2, 1, 3],
      [0, 1, 3, 2],
      [2, 3, 0, 1],
    ])
      await check('permute', [x], { axes }, { bound: 0 });
    await check('permute', [normal([1, 1])], { axes: [1, 0] }, { bound: 0 });
    await check('slice', [x], { starts: [1, 0, 2, 3], sizes: [2, 4, 1, 4] }, { bound: 0 });
    await check('slice', [x], { starts: [0, 1, 0, 0], sizes: [3, 2, 5, 7] }, { bound: 0 });
    await check('pad', [x], { before: [1, 0, 2, 0], after: [0, 3, 0, 1] }, { bound: 0 });
    await check('pad', [normal([5])], { before: [0], after: [0] }, { bound: 0 });
    await check('pad', [normal([30000])], { before: [11], after: [30000] }, { bound: 0 });
    await check('concat', [normal([2, 3, 4]), normal([2, 1, 4]), normal([2, 5, 4])], { axis: 1 }, { bound: 0 });
    await check('concat', [normal([2, 3]), normal([5, 3])], { axis: 0 }, { bound: 0 });
  });

  test('writeAt, in place and not, beyond the end', async () => {
    const inputs = [normal([3, 10, 2, 3]), normal([3, 4, 2, 3]), value([3], [0, 5, 8], 'i32')];
    await check('writeAt', inputs, {}, { bound: 0 });
    await check('writeAt', inputs, {}, { bound: 0, inPlace: [[0, 0]] });
    await check('writeAt', [normal([2, 3, 1]), normal([2, 1, 1]), value([2], [3, -1], 'i32')], {}, { bound: 0 });
    // A cache in f16 takes what rounds to nearest even.
    const [, rows = value([0], []), starts = value([0], [])] = inputs;
    const halves = [normal([3, 10, 2, 3], 'f16'), rows, starts];
    for (const inPlace of [[[0, 0]] as const, []]) {
      const { outputs, expected } = await runOp([backend, 'writeAt'], halves, {}, { inPlace });
      expect([...(outputs[0] ?? [])]).toEqual(roundTo([...(expected[0] ?? [])], 'f16'));
    }
  });

  test('cast between all dtypes', async () => {
    const numbers = [
      0, -0, 1, -1.5, 2.5, 1e-7, 6e-8, 2e-8, 65504, 65519, 65520, 1e30, 3e-5, -3.3895e38, 1.00390625, 1.01171875,
    ];
    for (const dtype of ['f16', 'bf16', 'f32'] as const) {
      const { outputs } = await runOp([backend, 'cast'], [value([16], numbers)], { dtype });
      expect(outputs[0]).toEqual(Float64Array.from(roundTo(numbers, dtype)));
      for (const source of ['f16', 'bf16'] as const) {
        const x = value([16], numbers, source);
        const back = await runOp([backend, 'cast'], [x], { dtype: 'f32' });
        expect(back.outputs).toEqual(back.expected);
      }
    }
    await check('cast', [value([5], [1.9, -1.9, 0, 2147483000, -7])], { dtype: 'i32' }, { bound: 0 });
    await check('cast', [value([3], [1.9, 4e9, 0])], { dtype: 'u32' }, { bound: 0 });
    await check('cast', [value([3], [-3, 5, 16777217], 'i32')], { dtype: 'f32' }, { bound: 1 });
    await check('cast', [value([2], [4294967295, 1], 'u32')], { dtype: 'f32' }, { bound: 1 });
  });

  test('random draws what the reference draws', async () => {
    for (const shape of [[1], [3, 5], [1031], [4000]]) {
      await check(
        'random',
        [value([], [123456789], 'u32'), value([], [4000000000], 'u32')],
        { shape, stream: 7 },
        { bound: 0 },
      );
    }
  });

  test('adamw, in place; a non-finite clip leaves everything as it was', async () => {
    for (const size of [1, 63, 64, 67, 1000]) {
      const blocks = Math.ceil(size / 64);
      const state = [
        normal([size]),
        normal([size]),
        normal([size]),
        value(
          [size],
          Array.from(normal([size]).data, (x) => x * x),
        ),
      ];
      const table = value(
        [blocks, 2],
        Array.from({ length: 2 * blocks }, (_, i) => (i % 2 === 0 ? 1 + i : 0.01 * i)),
      );
      const numbers = [1e-3, 1e-2, 3.3].map((x) => value([], [x]));
      const attrs = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
      const inPlace = [
        [0, 0],
        [2, 1],
        [3, 2],
      ] as const;
      const scales = [new Float64Array(size).fill(10), new Float64Array(size).fill(4), new Float64Array(size).fill(4)];
      for (const clip of [1, 0.3]) {
        await check('adamw', [...state, table, ...numbers, value([], [clip])], attrs, { bound: 16, scales });
        await check('adamw', [...state, table, ...numbers, value([], [clip])], attrs, { bound: 16, scales, inPlace });
      }
      for (const clip of [NaN, Infinity]) {
        await check('adamw', [...state, table, ...numbers, value([], [clip])], attrs, { bound: 0 });
        await check('adamw', [...state, table, ...numbers, value([], [clip])], attrs, { bound: 0, inPlace });
      }
    }
  });
});

/** Numbers as they come out of a 16-bit store, by the host's own conversion. */
function roundTo(numbers: readonly number[], dtype: 'f16' | 'bf16' | 'f32'): number[] {
  const { data } = value([numbers.length], numbers);
  const [rounded] = reference('cast', [value([numbers.length], data, dtype)], { dtype: 'f32' });
  return [...(rounded ?? [])];
}
