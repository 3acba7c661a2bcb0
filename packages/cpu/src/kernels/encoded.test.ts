import type { Backend } from '@lowrank/tensor';
import type { MatmulAttrs, OperandEncoding } from '@lowrank/tensor/op';
import { encodingSpecs, nestedHead, sizeOf, toFloat64 } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import type { TestTensor } from './testing.js';
import { epsilon, integers, normal, reference, run, runOp, value, worstError, seedNumbers } from './testing.js';

seedNumbers();

/** |error| ≤ c·ε·Σ|a||b|, as for dense weights. */
const bound = 8;

const table = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

const kinds = {
  'block4 of 64': { kind: 'block4', blockSize: 64, table },
  'block4 of 32, nested': { kind: 'block4', blockSize: 32, table, nestedBlockSize: 4 },
  'block4 of 4096, nested': { kind: 'block4', blockSize: 4096, table, nestedBlockSize: 256 },
  'block4 of 32, minimums': { kind: 'block4', blockSize: 32, table, minimums: true },
  rows8: { kind: 'rows8' },
} as const;
/** A row of theirs is whole blocks. */
const rowBlocks = {
  'block8 of 32': { kind: 'block8', blockSize: 32 },
  'block8 of 16, minimums': { kind: 'block8', blockSize: 16, minimums: true },
} as const;
type Kind = (typeof kinds)[keyof typeof kinds] | (typeof rowBlocks)[keyof typeof rowBlocks];

interface Weight {
  encoding: OperandEncoding;
  parts: TestTensor[];
  /** The same matrix, dense. */
  dense: TestTensor;
}

/** As bitsandbytes' are: signed steps around an offset that is far from zero. */
const nestedOf = (length: number): Float32Array =>
  positive(length).map((x, i) => (i < nestedHead - 1 ? Math.sin(i) / 4 : i === nestedHead - 1 ? 2.2 : x));
const positive = (length: number): Float32Array => Float32Array.from(normal([length]).data, (x) => Math.abs(x) + 0.01);

function weight(kind: Kind, rows: number, columns: number): Weight {
  const encoding = { ...kind, rows, columns };
  const parts = encodingSpecs(encoding).map(({ shape, dtype }, part): TestTensor => {
    const length = sizeOf(shape);
    if (dtype === 'f32')
      return part === 2 && 'minimums' in kind
        ? normal([length])
        : value([length], part === 2 ? nestedOf(length) : positive(length));
    const lowest = dtype === 'i8' ? -128 : 0;
    return value(shape, integers([length], lowest + 256, lowest).data, dtype);
  });
  const [numbers = new Float64Array()] = reference('decodeMatrix', parts, { encoding });
  return { encoding, parts, dense: value([rows, columns], numbers) };
}

// Rows of 172 cross blocks, odd ones bytes; 1,030 is more than a run; 70 columns are no whole panel.
const sizes = [
  [1, 1, 1],
  [1, 172, 64],
  [1, 21, 176],
  [3, 70, 172],
  [2, 19, 1031],
  [7, 13, 513],
  [9, 172, 33],
  [19, 41, 1030],
  [5, 600, 7],
] as const;

describe.each([
  ['one thread, relaxed', { threads: 1 }],
  ['one thread, baseline', { threads: 1, relaxedSimd: false }],
  ['two threads', { threads: 2 }],
] as const)('matrices of codes, %s', (_, options) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend(options)));
  afterAll(() => backend.dispose());

  async function check(
    [a, { parts, dense }, ...rest]: readonly [TestTensor, Weight, ...TestTensor[]],
    attrs: MatmulAttrs,
    inPlace: readonly (readonly [number, number])[] = [],
  ): Promise<void> {
    const { outputs, expected } = await runOp([backend, 'matmul'], [a, ...parts, ...rest], attrs, { inPlace });
    const [scale] = reference('matmul', [a, dense, ...rest], { ...attrs, encoding: undefined }, Math.abs);
    expect(
      worstError(outputs[0] ?? new Float64Array(), expected[0] ?? new Float64Array(), (at) => scale?.[at] ?? 0),
    ).toBeLessThan(bound);
  }

  test.each(Object.entries(kinds))('%s: products both ways round, at every size', async (_, kind) => {
    for (const [m, n, k] of sizes) {
      for (const transposeB of [true, false]) {
        const b = transposeB ? weight(kind, n, k) : weight(kind, k, n);
        await check([normal([m, k]), b], { transposeA: false, transposeB, encoding: b.encoding });
      }
    }
  });

  // Rows of 1,056 are more than a run; one row, and 3 and 9, take different kernels.
  test.each(Object.entries(rowBlocks))('%s: products both ways round', async (_, kind) => {
    for (const [m, n, k] of [
      [1, 64, 96],
      [3, 32, 1056],
      [9, 160, 64],
      [19, 96, 32],
    ] as const) {
      for (const transposeB of [true, false]) {
        const b = transposeB ? weight(kind, n, k) : weight(kind, k, n);
        const attrs = { transposeA: false, transposeB, encoding: b.encoding };
        await check([normal([m, k]), b], attrs);
        await check([normal([m, k]), b, normal([m, 4]), normal([4, n]), normal([m, n])], {
          ...attrs,
          lowRank: 'nn',
          addend: 'full',
        });
      }
    }
  });

  test.each(Object.entries(kinds))('%s: with a low-rank part and an addend', async (_, kind) => {
    for (const [m, n, k] of [
      [2, 19, 65],
      [9, 41, 172],
    ] as const) {
      for (const lowRank of ['nt', 'nn'] as const) {
        const b = weight(kind, n, k);
        const attrs = { transposeA: false, transposeB: true, encoding: b.encoding, lowRank };
        const parts = (rank: number): TestTensor[] => [
          normal([m, rank]),
          normal(lowRank === 'nt' ? [n, rank] : [rank, n]),
        ];
        await check([normal([m, k]), b, ...parts(8)], attrs);
        await check([normal([m, k]), b, ...parts(5), normal([n])], { ...attrs, addend: 'row' });
        await check([normal([m, k]), b, ...parts(13), normal([m, n])], { ...attrs, addend: 'full' }, [
          [b.parts.length + 3, 0],
        ]);
      }
      const b = weight(kind, k, n);
      await check([normal([m, k]), b, normal([m, n])], {
        transposeA: false,
        transposeB: false,
        encoding: b.encoding,
        addend: 'full',
      });
    }
  });

  test('decodeMatrix rounds as bitsandbytes does, bit for bit', async () => {
    for (const [rows, columns] of [
      [1, 1],
      [3, 7],
      [11, 172],
      [70, 33],
      [5, 513],
      [3, 352],
    ] as const) {
      const whole = columns % 32 === 0 ? Object.values(rowBlocks) : [];
      for (const kind of [...Object.values(kinds), ...whole]) {
        const { encoding, parts } = weight(kind, rows, columns);
        const [codes, absmax, last] = parts.map(({ data, dtype }) => Float32Array.from(toFloat64(data, dtype)));
        const round = Math.fround;
        const scaleOf = (block: number): number => {
          const scale = absmax?.[block] ?? NaN;
          if (encoding.kind !== 'block4' || encoding.nestedBlockSize === undefined) return scale;
          return round(
            round((last?.[scale] ?? NaN) * (last?.[nestedHead + Math.floor(block / encoding.nestedBlockSize)] ?? NaN)) +
              (last?.[nestedHead - 1] ?? NaN),
          );
        };
        const expected = Float64Array.from({ length: rows * columns }, (_, i) => {
          if (encoding.kind === 'rows8')
            return round(round((codes?.[i] ?? NaN) * scaleOf(Math.floor(i / columns))) * round(1 / 127));
          const block = Math.floor(i / encoding.blockSize);
          const byte = codes?.[i >> 1] ?? NaN;
          const code =
            encoding.kind === 'block8'
              ? (codes?.[i] ?? NaN)
              : (encoding.table[i % 2 === 0 ? byte >> 4 : byte & 15] ?? NaN);
          const product = round(round(code) * scaleOf(block));
          return encoding.minimums === true ? round(product + (last?.[block] ?? NaN)) : product;
        });
        expect(await run([backend, 'decodeMatrix'], parts, { encoding })).toEqual(expected);
      }
    }
  });
});

test('a matrix beyond the packing limit is packed in pieces', async () => {
  const backend = await createCpuBackend();
  const [m, n, k] = [4, 4100, 1100];
  for (const transposeB of [true, false]) {
    const b = transposeB ? weight(kinds['block4 of 64'], n, k) : weight(kinds['block4 of 64'], k, n);
    const a = normal([m, k]);
    const actual = await run([backend, 'matmul'], [a, ...b.parts], {
      transposeA: false,
      transposeB,
      encoding: b.encoding,
    });
    for (let place = 0; place < actual.length; place += 97) {
      const [row, column] = [Math.floor(place / n), place % n];
      let [total, scale] = [0, 0];
      for (let i = 0; i < k; i++) {
        const product =
          (a.data[row * k + i] ?? NaN) * (b.dense.data[transposeB ? column * k + i : i * n + column] ?? NaN);
        total += product;
        scale += Math.abs(product);
      }
      expect(Math.abs((actual[place] ?? NaN) - total)).toBeLessThan(bound * epsilon * scale);
    }
  }
  backend.dispose();
});
