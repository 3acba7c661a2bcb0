import type { EncodedRow } from './encodeRow.js';
import { expect, test } from 'vitest';
import { evaluationBatches, largestBatches, trainingBatches } from './trainingBatches.js';

/** Row i has the given length; every id is i. */
const makeRows = (lengths: readonly number[]): EncodedRow[] =>
  lengths.map((length, i) => {
    const ids = new Int32Array(length).fill(i);
    return { line: i + 1, ids, labels: ids, labelTokens: length - 1, fullLength: length, promptIsPrefix: true };
  });
const rows = makeRows([5, 9, 3, 30, 7]);

test('in file order, wrapping; a step has as many micro-batches as are accumulated', () => {
  const steps = trainingBatches(rows, { batchSize: 2, gradientAccumulation: 2, shuffle: false });
  const first = steps.next().value;
  expect(first.map(({ batch, length, tokens, rows: count }) => [batch, length, tokens, count])).toEqual([
    [1, 16, 14, 2],
    [1, 64, 33, 2],
  ]);
  const second = steps.next().value;
  expect(second.map(({ tokens }) => tokens)).toEqual([12, 12]);
  expect([...(second[0]?.inputs.ids.data.subarray(0, 8) ?? [])]).toEqual([4, 4, 4, 4, 4, 4, 4, 0]);
});

test('without packing each row has a sequence of its own', () => {
  const [batch] = trainingBatches(rows, { batchSize: 4, shuffle: false, packing: false }).next().value;
  expect(batch).toMatchObject({ batch: 4, length: 32, tokens: 47 });
});

test('more tokens than one packed sequence may hold become several batches of the same step', () => {
  const step = trainingBatches(rows, { batchSize: 5, shuffle: false, maxPackedTokens: 32 }).next().value;
  expect(step.map(({ tokens }) => tokens).sort((a, b) => a - b)).toEqual([24, 30]);
  const capped = trainingBatches(rows, { batchSize: 5, shuffle: false, maxPackedTokens: 1 }).next().value;
  expect(Math.max(...capped.map(({ tokens }) => tokens))).toBe(30);
});

test('the seed decides the order', () => {
  const ids = (seed: number): number[] => [
    ...(trainingBatches(rows, { batchSize: 5, seed }).next().value[0]?.inputs.ids.data ?? []),
  ];
  expect(ids(1)).toEqual(ids(1));
  expect(ids(1)).not.toEqual(ids(2));
});

test('batches go on from where others stood, over the end of an epoch', () => {
  const options = { batchSize: 2, gradientAccumulation: 2, seed: 3 };
  const whole = trainingBatches(rows, options);
  for (let step = 0; step < 3; step++) whole.next();
  const state = JSON.parse(JSON.stringify(whole.state)) as typeof whole.state;
  expect(state.epoch).toBeGreaterThan(0);
  const rest = trainingBatches(rows, { ...options, state });
  for (let step = 0; step < 3; step++) expect(rest.next().value).toEqual(whole.next().value);
});

test('the largest micro-batches are found among the steps to come, and no others', () => {
  const options = { batchSize: 1, shuffle: false, gradientAccumulation: 1 };
  expect(largestBatches(rows, { ...options, steps: 3 })).toMatchObject([{ batch: 1, length: 16 }]);
  expect(largestBatches(rows, { ...options, steps: 4 })).toMatchObject([{ batch: 1, length: 32 }]);
});

test('a run of a billion steps is not looked through, and begins with the largest that it can have', () => {
  const rows = [3, 60, 5, 7, 50, 4].map((length) => ({
    ids: Int32Array.from({ length }, () => 1),
    labels: Int32Array.from({ length }, () => 1),
  })) as unknown as Parameters<typeof largestBatches>[0];
  const begin = performance.now();
  const options = { batchSize: 2, seed: 1, packing: false, steps: 1e9 };
  expect(largestBatches(rows, options)).toMatchObject([{ batch: 2, length: 64 }]);
  expect(largestBatches(rows, { ...options, packing: true })).toMatchObject([{ batch: 1, length: 128 }]);
  // All of them would take an hour; a busy machine makes seconds of one.
  expect(performance.now() - begin).toBeLessThan(20_000);
});

test('evaluation has every row once, in one shape', () => {
  const all = evaluationBatches(rows, { maxPackedTokens: 20 });
  expect(new Set(all.map(({ length }) => length))).toEqual(new Set([32]));
  expect(all.reduce((total, batch) => total + batch.rows, 0)).toBe(5);
  expect(all.reduce((total, batch) => total + batch.tokens, 0)).toBe(54);
  expect(evaluationBatches(rows).map(({ batch, length }) => [batch, length])).toEqual([[1, 64]]);
});
