import { Rng, compile, tensor } from '@lowrank/tensor';
import { evaluateReference, ReferenceBackend } from '@lowrank/tensor/op';
import type { Tensor } from '@lowrank/tensor';
import { expect, test } from 'vitest';
import type { RotaryOptions } from './rotary.js';
import { RotaryTable } from './rotary.js';

/** One head of `size` per position, turned. */
async function turned(
  table: RotaryTable,
  x: readonly number[][],
  positions: readonly number[],
  reach: { length?: number; segments?: Tensor } = {},
): Promise<number[]> {
  const head = tensor(Float32Array.from(x.flat()), [1, positions.length, 1, x[0]?.length ?? 0]);
  const [values = []] = await evaluateReference([
    table.apply(head, tensor(Int32Array.from(positions), [1, positions.length]), reach),
  ]);
  return [...values];
}

test('pairs of the two halves turn, exactly also far out; what lies beyond the turned part passes', async () => {
  const table = new RotaryTable({ size: 4, theta: 100, maxPositions: 512 });
  const values = await turned(table, [[1, 2, 3, 4, 5, 6]], [511]);
  const [a, b] = [511, 51.1];
  const want = [
    Math.cos(a) - 3 * Math.sin(a),
    2 * Math.cos(b) - 4 * Math.sin(b),
    3 * Math.cos(a) + Math.sin(a),
    4 * Math.cos(b) + 2 * Math.sin(b),
    5,
    6,
  ];
  want.forEach((value, at) => expect(Math.abs((values[at] ?? NaN) - value)).toBeLessThan(1e-6));
});

const longrope: RotaryOptions = {
  size: 4,
  theta: 100,
  maxPositions: 64,
  scaling: {
    type: 'longrope',
    shortFactors: [1, 2],
    longFactors: [4, 8],
    originalMaxPositions: 8,
    attentionFactor: 1.5,
  },
};

test('longrope goes by the length of the row or cache, and turns by the list for it', async () => {
  const table = new RotaryTable(longrope);
  const at = (a: number, b: number): number[] => [
    1.5 * Math.cos(a),
    1.5 * Math.cos(b),
    1.5 * Math.sin(a),
    1.5 * Math.sin(b),
  ];
  const near = (got: readonly number[], want: readonly number[]): void =>
    want.forEach((value, i) => expect(Math.abs((got[i] ?? NaN) - value)).toBeLessThan(1e-6));
  near(await turned(table, [[1, 1, 0, 0]], [5], { length: 8 }), at(5, 0.25));
  near(await turned(table, [[1, 1, 0, 0]], [5], { length: 9 }), at(1.25, 5 / 80));
});

test('longrope with documents: each as if it were alone in its row', async () => {
  const table = new RotaryTable(longrope);
  const rng = new Rng(3);
  const x = Array.from({ length: 15 }, () => Array.from({ length: 4 }, () => rng.normal()));
  const bounds = Array.from({ length: 15 }, (_, at) => (at < 3 ? [0, 3] : at < 13 ? [3, 13] : [13, 15])).flat();
  const positions = Array.from({ length: 15 }, (_, at) => (at < 3 ? at : at < 13 ? at - 3 : at - 13));
  const packed = await turned(table, x, positions, {
    length: 15,
    segments: tensor(Int32Array.from(bounds), [1, 15, 2]),
  });
  const alone = [];
  for (const [start, end] of [
    [0, 3],
    [3, 13],
    [13, 15],
  ] as const)
    alone.push(...(await turned(table, x.slice(start, end), positions.slice(start, end), { length: end - start })));
  expect(packed).toEqual(alone);
});

test('tables are made once for rows of like lengths, and freed', async () => {
  const backend = new ReferenceBackend();
  const table = new RotaryTable({ size: 4, theta: 100, maxPositions: 512 });
  const run = async (length: number): Promise<number> => {
    const step = compile(backend, ({ x, positions }) => {
      if (x === undefined || positions === undefined) throw new TypeError('two inputs');
      return { y: table.apply(x, positions, { length }) };
    });
    const { y } = await step.run({
      x: { data: new Float32Array(length * 4), shape: [1, length, 1, 4] },
      positions: { data: new Int32Array(length), shape: [1, length] },
    });
    await y;
    await step.dispose();
    return backend.memory.bytes;
  };
  const first = await run(17);
  expect(await run(30)).toBe(first);
  expect(await run(33)).toBeGreaterThan(first);
  table.dispose();
  expect(backend.memory.bytes).toBe(0);
});
