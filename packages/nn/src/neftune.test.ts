import { compile, scalar, tensor, zeros } from '@lowrank/tensor';
import { ReferenceBackend } from '@lowrank/tensor/op';
import { expect, test } from 'vitest';
import { noisyEmbeddings, withNeftune } from './neftune.js';

const [rows, length, width] = [2, 40, 64];
/** Two documents of 10 and 30 in one row, one of 40 in the other. */
const segments = tensor(
  Int32Array.from({ length: rows * length * 2 }, (_, i) => {
    const [row, at] = [Math.floor(i / (2 * length)), (i >> 1) % length];
    const [start, end] = row === 1 ? [0, 40] : at < 10 ? [0, 10] : [10, 40];
    return i % 2 === 0 ? start : end;
  }),
  [rows, length, 2],
);

/** Tensors stay where they were first. */
const backend = new ReferenceBackend();

async function noise(alpha: number, step: number, { training = true } = {}): Promise<Float32Array> {
  const random = { seed: scalar(3, { dtype: 'u32' }), step: scalar(step, { dtype: 'u32' }) };
  const trace = (): ReturnType<typeof zeros> => noisyEmbeddings(zeros([rows, length, width]), segments);
  const fn = compile(backend, () => ({ y: training ? withNeftune(alpha, random, trace) : trace() }));
  return (await (
    await fn.run()
  ).y) as Float32Array;
}

test('noise is uniform, within alpha/√(length·width) of each document', async () => {
  const values = await noise(5, 1);
  for (const [from, to, tokens] of [
    [0, 10, 10],
    [10, 40, 30],
    [40, 80, 40],
  ] as const) {
    const part = values.subarray(from * width, to * width);
    const bound = 5 / Math.sqrt(tokens * width);
    const mean = part.reduce((sum, value) => sum + value, 0) / part.length;
    const variance = part.reduce((sum, value) => sum + value * value, 0) / part.length;
    expect(Math.max(...part.map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(Math.max(...part)).toBeGreaterThan(0.97 * bound);
    // Four standard errors: of the mean b/√(3n), of the mean square 2b²/√(45n).
    expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * part.length));
    expect(Math.abs(variance - bound ** 2 / 3)).toBeLessThan((8 * bound ** 2) / Math.sqrt(45 * part.length));
  }
});

test('each RNG step has its own noise, and a step has it again', async () => {
  expect(await noise(5, 1)).toEqual(await noise(5, 1));
  expect(await noise(5, 1)).not.toEqual(await noise(5, 2));
});

test('there is none with an alpha of 0, and none outside of training', async () => {
  expect((await noise(0, 1)).every((value) => value === 0)).toBe(true);
  expect((await noise(5, 1, { training: false })).every((value) => value === 0)).toBe(true);
});
