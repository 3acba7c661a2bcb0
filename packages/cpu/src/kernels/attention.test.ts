import type { Backend } from '@lowrank/tensor';
import { fromNumbers } from '@lowrank/tensor';
import type { AttrsOf } from '@lowrank/tensor/backend';
import { toFloat64 } from '@lowrank/tensor/op';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCpuBackend } from '../backend.js';
import type { TestTensor } from './testing.js';
import { normal, reference, run, runOp, value, worstError, seedNumbers } from './testing.js';

seedNumbers();

type Attrs = AttrsOf<'attention'>;

/**
 * o: |error| ≤ 16·ε·Σ p|v| with scores of moderate size; the scores' own rounding enters through the exponential.
 * Gradients: 64·ε of the sums of absolute products, computed as the reference's gradients with all factors but the
 * weights made positive.
 */
const forwardBound = 32;
const backwardBound = 64;

interface Case {
  batch: number;
  queries: number;
  keys: number;
  heads: number;
  keyHeads: number;
  size: number;
}

const base: Attrs = { causal: true, scale: 0.3, window: 0, softcap: 0, segments: false, lengths: false };

function operands({ batch, queries, keys, heads, keyHeads, size }: Case): TestTensor[] {
  return [
    normal([batch, queries, heads, size]),
    normal([batch, keys, keyHeads, size]),
    normal([batch, keys, keyHeads, size]),
  ];
}

/** Documents of growing lengths that fill each row, and one place at the end that sees nothing. */
function documents(batch: number, length: number): TestTensor {
  const bounds: number[] = [];
  for (let b = 0; b < batch; b++) {
    let start = 0;
    for (let size = 3 + b; start < length - 1; size += 17) {
      const end = Math.min(start + size, length - 1);
      for (let i = start; i < end; i++) bounds.push(start, end);
      start = end;
    }
    bounds.push(length - 1, length - 1);
  }
  return value([batch, length, 2], bounds, 'i32');
}

describe.each([1, 2])('attention on %i threads', (threads) => {
  let backend: Backend;
  beforeAll(async () => (backend = await createCpuBackend({ threads })));
  afterAll(() => backend.dispose());

  async function forward(inputs: TestTensor[], attrs: Attrs): Promise<void> {
    const { outputs, expected } = await runOp([backend, 'attention'], inputs, attrs);
    const [q, k, v, ...masks] = inputs;
    if (q === undefined || k === undefined || v === undefined) throw new Error('three operands');
    const [scale] = reference(
      'attention',
      [q, k, { ...v, data: fromNumbers(Float64Array.from(toFloat64(v.data, v.dtype), Math.abs), v.dtype) }, ...masks],
      attrs,
    );
    expect(
      worstError(outputs[0] ?? new Float64Array(), expected[0] ?? new Float64Array(), (at) => scale?.[at] ?? 0),
    ).toBeLessThan(forwardBound);
    expect(
      worstError(outputs[1] ?? new Float64Array(), expected[1] ?? new Float64Array(), (at) =>
        Math.max(1, Math.abs(expected[1]?.[at] ?? 0)),
      ),
    ).toBeLessThan(forwardBound);
  }

  async function backward(inputs: TestTensor[], attrs: Attrs): Promise<void> {
    const [q, k, v, ...masks] = inputs;
    if (q === undefined || k === undefined || v === undefined) throw new Error('three operands');
    const [o = new Float64Array(), logSumExp = new Float64Array()] = reference('attention', inputs, attrs);
    const g = normal(q.shape);
    const all = [
      q,
      k,
      v,
      value(q.shape, o),
      value([q.shape[0] ?? 1, q.shape[2] ?? 1, q.shape[1] ?? 1], logSumExp),
      g,
      ...masks,
    ];
    const { outputs, expected } = await runOp([backend, 'attentionBackward'], all, attrs);
    outputs.forEach((actual, which) => {
      const want = expected[which] ?? new Float64Array();
      // Cancellation within a row is bounded by the row's own largest gradient many times over.
      const largest = want.reduce((top, x) => Math.max(top, Math.abs(x)), 0);
      expect(worstError(actual, want, () => largest)).toBeLessThan(backwardBound);
    });
  }

  const cases: Case[] = [
    { batch: 1, queries: 1, keys: 1, heads: 1, keyHeads: 1, size: 1 },
    { batch: 2, queries: 7, keys: 7, heads: 3, keyHeads: 1, size: 5 },
    { batch: 1, queries: 50, keys: 50, heads: 2, keyHeads: 2, size: 8 },
    { batch: 2, queries: 131, keys: 131, heads: 4, keyHeads: 2, size: 12 },
    { batch: 1, queries: 65, keys: 65, heads: 2, keyHeads: 1, size: 33 },
    { batch: 1, queries: 51, keys: 51, heads: 1, keyHeads: 1, size: 256 },
    { batch: 1, queries: 40, keys: 40, heads: 8, keyHeads: 1, size: 9 },
    { batch: 1, queries: 33, keys: 33, heads: 11, keyHeads: 1, size: 4 },
    { batch: 1, queries: 67, keys: 67, heads: 10, keyHeads: 2, size: 32 },
  ];

  test.each(cases)(
    '$batch×$queries, heads $heads/$keyHeads of $size: causal, full, windowed, capped, packed',
    async (sizes) => {
      const inputs = operands(sizes);
      const plain: Attrs = { ...base, scale: 1 / Math.sqrt(sizes.size) };
      const variants: [TestTensor[], Attrs][] = [
        [inputs, plain],
        [inputs, { ...plain, causal: false }],
        [inputs, { ...plain, window: 5 }],
        [inputs, { ...plain, softcap: 1.5, window: 6 }],
        [[...inputs, documents(sizes.batch, sizes.keys)], { ...plain, segments: true }],
        [[...inputs, documents(sizes.batch, sizes.keys)], { ...plain, segments: true, causal: false, window: 9 }],
      ];
      for (const [operandsOf, attrs] of variants) {
        await forward(operandsOf, attrs);
        await backward(operandsOf, attrs);
      }
    },
  );

  test('a cache: lengths place the queries, keys beyond do not exist', async () => {
    for (const queries of [1, 2, 5, 60]) {
      const sizes = { batch: 3, queries, keys: 150, heads: 4, keyHeads: 2, size: 20 };
      await forward([...operands(sizes), value([3], [0, 17, 150 - queries], 'i32')], { ...base, lengths: true });
      await forward([...operands(sizes), value([3], [0, 70, 149], 'i32')], {
        ...base,
        lengths: true,
        window: 31,
        softcap: 0.7,
      });
      await forward(operands(sizes), base);
    }
  });

  test('a cache in f16', async () => {
    for (const queries of [1, 3, 60]) {
      for (const size of [20, 6]) {
        const sizes = { batch: 2, queries, keys: 150, heads: 6, keyHeads: 2, size };
        const [q = normal([1])] = operands(sizes);
        const cache = (): TestTensor => normal([2, 150, 2, size], 'f16');
        const lengths = value([2], [17, 150 - queries], 'i32');
        await forward([q, cache(), cache(), lengths], { ...base, lengths: true, window: 100 });
      }
    }
  });

  test('large scores do not overflow', async () => {
    const inputs = operands({ batch: 1, queries: 70, keys: 70, heads: 1, keyHeads: 1, size: 8 });
    const output = await run([backend, 'attention'], inputs, { ...base, scale: 300 });
    expect(output.every(Number.isFinite)).toBe(true);
    // Far beyond the cap every score is ±cap.
    await forward(inputs, { ...base, scale: 300, softcap: 2 });
  });
});
