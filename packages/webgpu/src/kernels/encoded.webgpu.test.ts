import { add, compile, fromNumbers, grad, linear, sum, tensor } from '@lowrank/tensor';
import {
  EncodedMatrix,
  encodingSpecs,
  evaluateReference,
  nestedHead,
  sizeOf,
  threefryUniform,
} from '@lowrank/tensor/op';
import type { MatmulAttrs, OperandEncoding } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WebgpuBackend } from '../backend.js';
import type { KernelTuning } from '../choices.js';
import {
  expectWithin,
  given,
  magnitudeOf,
  randomInput,
  referenceOf,
  runKernel,
  productTiers,
  testBackend,
} from '../testing/kernelHarness.js';
import type { KernelCase, TestInput } from '../testing/kernelHarness.js';

const table = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

const kinds = {
  'block4 of 64': { kind: 'block4', blockSize: 64, table },
  'block4 of 32, nested': { kind: 'block4', blockSize: 32, table, nestedBlockSize: 4 },
  rows8: { kind: 'rows8' },
} as const;
/** GGUF's: a row is whole blocks. */
const rowBlocks = {
  'block4 of 32, minimums': { kind: 'block4', blockSize: 32, table, minimums: true },
  'block8 of 32': { kind: 'block8', blockSize: 32 },
  'block8 of 16, minimums': { kind: 'block8', blockSize: 16, minimums: true },
} as const;
type Kind = (typeof kinds)[keyof typeof kinds] | (typeof rowBlocks)[keyof typeof rowBlocks];

interface Weight {
  readonly encoding: OperandEncoding;
  readonly parts: readonly TestInput[];
  /** The same matrix, dense. */
  readonly dense: TestInput;
}

function weight(kind: Kind, rows: number, columns: number): Weight {
  const encoding = { ...kind, rows, columns };
  const parts = encodingSpecs(encoding).map(({ shape, dtype }, part): TestInput => {
    const length = sizeOf(shape);
    const uniform = Float64Array.from({ length }, (_, i) => threefryUniform([part + 11, 0], [0, i]));
    if (dtype === 'u8' || dtype === 'i8')
      return {
        shape,
        dtype,
        data: fromNumbers(
          uniform.map((x) => Math.floor(256 * x) - (dtype === 'i8' ? 128 : 0)),
          dtype,
        ),
      };
    // As bitsandbytes' are: signed steps around an offset that is far from zero.
    if (part === 2 && !('minimums' in kind))
      return {
        shape: [length],
        dtype,
        data: fromNumbers(
          uniform.map((x, i) => (i < nestedHead - 1 ? Math.sin(i) / 4 : i === nestedHead - 1 ? 2.2 : x)),
          dtype,
        ),
      };
    return {
      shape: [length],
      dtype,
      data: fromNumbers(
        uniform.map((x) => x + 0.01),
        dtype,
      ),
    };
  });
  const [values = new Float64Array()] = referenceOf({ op: 'decodeMatrix', attrs: { encoding }, inputs: parts });
  return { encoding, parts, dense: given([...values], [rows, columns]) };
}

interface Product {
  readonly kind: Kind;
  readonly size: readonly [m: number, n: number, k: number];
  readonly transposeB: boolean;
  readonly rank?: number;
  readonly attrs?: Partial<MatmulAttrs>;
  readonly inPlace?: boolean;
}

/** A product, and the sum of its terms' absolute values. */
function product({ kind, size: [m, n, k], transposeB, rank = 0, attrs = {}, inPlace = false }: Product): {
  test: KernelCase;
  magnitude: Float64Array;
  k: number;
} {
  const b = transposeB ? weight(kind, n, k) : weight(kind, k, n);
  const a = randomInput([m, k], 1);
  const lowRank =
    attrs.lowRank === undefined
      ? []
      : [randomInput([m, rank], 4), randomInput(attrs.lowRank === 'nt' ? [n, rank] : [rank, n], 5)];
  const rest = [
    ...lowRank,
    ...(attrs.addend === undefined ? [] : [randomInput(attrs.addend === 'row' ? [n] : [m, n], 6)]),
  ];
  const common = { transposeA: false, transposeB, ...attrs };
  const inputs = [a, ...b.parts, ...rest];
  const [magnitude = new Float64Array()] = magnitudeOf({ op: 'matmul', attrs: common, inputs: [a, b.dense, ...rest] });
  return {
    test: {
      op: 'matmul',
      attrs: { ...common, encoding: b.encoding },
      inputs,
      ...(inPlace ? { inPlace: [[inputs.length - 1, 0] as const] } : {}),
    },
    magnitude,
    k: k + rank,
  };
}

async function checkOn(backend: WebgpuBackend, scene: Product): Promise<void> {
  const { test, magnitude, k } = product(scene);
  // What codes decode to is no number of f16, of which ε is 2¹³ of f32's: half of it for rounding either side.
  const rounding = backend.profile.precision === 'mixed' ? 2 ** 13 : 0;
  const { actual, expected } = await runKernel(backend, test);
  expectWithin(actual[0], expected[0], { c: 2 + Math.sqrt(k) + rounding, magnitude });
}

/** The nearest code of each number in blocks, packed two to a byte, and each block's largest magnitude. */
function nearestCodes(values: ArrayLike<number>, blockSize: number): [codes: Uint8Array, absmax: Float32Array] {
  const numbers = Array.from(values);
  const absmax = Float32Array.from({ length: Math.ceil(numbers.length / blockSize) }, (_, block) =>
    Math.max(...numbers.slice(block * blockSize, (block + 1) * blockSize).map(Math.abs)),
  );
  const codes = new Uint8Array(Math.ceil(numbers.length / 2));
  for (const [i, number] of numbers.entries()) {
    const distances = table.map((place) => Math.abs(place - number / (absmax[Math.floor(i / blockSize)] ?? NaN)));
    codes[i >> 1] = (codes[i >> 1] ?? 0) | (distances.indexOf(Math.min(...distances)) << (i % 2 === 0 ? 4 : 0));
  }
  return [codes, absmax];
}

describe.each(productTiers)('matrices of codes, %s kernels', (tier) => {
  let backend: WebgpuBackend;
  beforeAll(async () => {
    backend = await testBackend(tier);
  });
  afterAll(() => backend.dispose());

  const check = (scene: Product): Promise<void> => checkOn(backend, scene);

  // Whole words of codes, halves of them (172, whose rows begin within blocks), single ones; few rows; few columns;
  // sums in parts.
  it.each(Object.entries(kinds))('%s: products both ways round', async (_, kind) => {
    const sizes = [
      [17, 24, 64],
      [9, 172, 172],
      [7, 13, 11],
      [1, 40, 136],
      [65, 72, 40],
      [3, 11, 172],
      [67, 8, 33],
      [2, 24, 1040],
    ] as const;
    // The kinds differ in how a word is decoded; only one goes through every shape.
    const some = 'nestedBlockSize' in kind ? sizes : sizes.slice(1, 4);
    await Promise.all(some.flatMap((size) => [true, false].map((transposeB) => check({ kind, size, transposeB }))));
  });

  it.each(Object.entries(rowBlocks))(
    '%s: products both ways round, with a low-rank part and an addend',
    async (_, kind) => {
      const sizes = [
        [17, 32, 64],
        [1, 64, 160],
        [65, 96, 32],
      ] as const;
      await Promise.all(
        sizes.flatMap((size) => [
          check({ kind, size, transposeB: true, rank: 4, attrs: { lowRank: 'nt', addend: 'full' }, inPlace: true }),
          check({ kind, size, transposeB: false, rank: 4, attrs: { lowRank: 'nn' } }),
        ]),
      );
    },
  );

  it.each(Object.entries(kinds))('%s: with a low-rank part and an addend', async (_, kind) => {
    await Promise.all([
      check({
        kind,
        size: [9, 40, 64],
        transposeB: true,
        rank: 8,
        attrs: { lowRank: 'nt', addend: 'full' },
        inPlace: true,
      }),
      check({ kind, size: [5, 11, 172], transposeB: true, rank: 3, attrs: { lowRank: 'nt', addend: 'row' } }),
      check({ kind, size: [9, 64, 40], transposeB: false, rank: 8, attrs: { lowRank: 'nn', addend: 'full' } }),
      check({ kind, size: [1, 24, 64], transposeB: true, rank: 4, attrs: { lowRank: 'nt', addend: 'full' } }),
      check({ kind, size: [6, 13, 7], transposeB: false, rank: 5, attrs: { lowRank: 'nn' } }),
    ]);
  });

  it('layers of equal shape share pipelines', async () => {
    const encoded = (seed: number): KernelCase => {
      const { test } = product({ kind: kinds['block4 of 32, nested'], size: [9, 48, 56], transposeB: true });
      const [a, ...parts] = test.inputs;
      return {
        ...test,
        inputs: [a ?? randomInput([9, 56], 1), ...parts].map((input, at) =>
          at === 0 ? randomInput([9, 56], seed) : { ...input, data: input.data.slice().reverse() },
        ),
      };
    };
    await runKernel(backend, encoded(1));
    const before = backend.device.counters.pipelines;
    await runKernel(backend, encoded(2));
    expect(backend.device.counters.pipelines).toBe(before);
  });

  it('decodeMatrix: bit for bit with plain absmax, to 1e-6 else', async () => {
    for (const [rows, columns] of [
      [3, 7],
      [11, 172],
      [9, 64],
    ] as const) {
      for (const [name, kind] of Object.entries(columns % 32 === 0 ? { ...kinds, ...rowBlocks } : kinds)) {
        const { encoding, parts } = weight(kind, rows, columns);
        const {
          actual: [actual = new Float64Array()],
          expected: [expected = new Float64Array()],
        } = await runKernel(backend, { op: 'decodeMatrix', attrs: { encoding }, inputs: parts });
        // A minimum may cancel what the codes say.
        const least = 'minimums' in kind ? 1 : 1e-30;
        if (name === 'block4 of 64') expect(actual).toEqual(Float64Array.from(expected, Math.fround));
        else
          expect(
            Math.max(
              ...actual.map(
                (value, at) => Math.abs(value - (expected[at] ?? NaN)) / Math.max(least, Math.abs(expected[at] ?? NaN)),
              ),
            ),
          ).toBeLessThanOrEqual(1e-6);
      }
    }
  });

  it('a LoRA layer over codes and its dx, in one plan', async () => {
    const [rows, columns, rank] = [13, 21, 3];
    const encoding = { kind: 'block4', rows, columns, blockSize: 32, table } as const;
    const values = randomInput([rows, columns], 7).data;
    const w = tensor(values, [rows, columns]);
    const matrix = new EncodedMatrix(
      encoding,
      encodingSpecs(encoding).map(({ shape }, part) => tensor(nearestCodes(values, 32)[part] ?? 0, shape)),
    );
    const [x, a, b] = [
      [5, columns],
      [rank, columns],
      [rows, rank],
    ].map((shape, seed) => tensor(randomInput(shape, seed).data, shape));
    if (x === undefined || a === undefined || b === undefined) throw new TypeError('three tensors');
    const layer = (weight: EncodedMatrix | typeof w): typeof x => add(linear(x, weight), linear(linear(x, a), b));
    const run = compile(backend, () => {
      const y = layer(matrix);
      return { y, dx: grad(sum(y), [x])[0] ?? y };
    });
    const results = await run.run();
    const exact = layer(w);
    const [y = new Float64Array(), dx = new Float64Array()] = await evaluateReference([
      exact,
      grad(sum(exact), [x])[0] ?? exact,
    ]);
    // A code is off by at most half the widest step, 0.152, of a weight below 1.
    for (const [actual, expected, terms] of [
      [await results.y, y, columns],
      [await results.dx, dx, rows],
    ] as const) {
      expect(actual.length).toBe(expected.length);
      expected.forEach((want, at) =>
        expect(Math.abs((actual[at] ?? NaN) - want)).toBeLessThan(0.16 * Math.sqrt(terms)),
      );
    }
    await run.dispose();
    for (const one of [...matrix.parts, w, x, a, b]) one.dispose();
  });
});

// A form that tuning names is the same in all tiers of a precision.
const tunings: KernelTuning[] = [
  { matmul: 'register', splitK: 3 },
  { matmul: 'tile', splitK: 3 },
  { matmul: 'bigTile' },
  { matmul: 'vector' },
];

it.each(tunings)('matrices of codes in the form that tuning chooses, and in parts of K: %o', async (tuning) => {
  const backend = await testBackend('portable', tuning);
  const kind = kinds['block4 of 32, nested'];
  await Promise.all([
    checkOn(backend, {
      kind,
      size: [3, 24, 200],
      transposeB: true,
      rank: 2,
      attrs: { lowRank: 'nt', addend: 'full' },
    }),
    checkOn(backend, { kind, size: [33, 72, 172], transposeB: false }),
    checkOn(backend, { kind: kinds.rows8, size: [9, 29, 172], transposeB: true }),
  ]);
  backend.dispose();
});
