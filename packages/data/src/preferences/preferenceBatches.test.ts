import { expect, test } from 'vitest';
import type { EncodedRow } from '../encodeRow.js';
import { ignored } from '../encodeRow.js';
import { documentBatches } from './documentBatches.js';
import type { ExampleGroup } from './example.js';
import { judgedGroups } from './judgedGroups.js';
import type { PreferenceBatchOptions } from './preferenceBatches.js';
import {
  examplesInOrder,
  largestPreferenceBatches,
  preferenceBatches,
  preferenceEvaluationBatches,
} from './preferenceBatches.js';
import type { PreferenceBatch } from './preferenceLayout.js';

/** A document of `prompt` tokens 1 and `completion` tokens `mark`. */
function row(line: number, [prompt, completion]: readonly [number, number], mark: number): EncodedRow {
  const ids = new Int32Array(prompt + completion).fill(1, 0, prompt).fill(mark, prompt);
  const labels = ids.slice().fill(ignored, 0, prompt);
  return { line, ids, labels, labelTokens: completion, fullLength: ids.length, promptIsPrefix: true };
}

/** Pair n: 2 + n prompt tokens, completions of n + 1 and 3 tokens. */
const pairs: ExampleGroup[] = Array.from({ length: 5 }, (_, at) => [
  { line: at + 1, documents: [row(at + 1, [2 + at, at + 1], 10 + at), row(at + 1, [2 + at, 3], 20 + at)] },
]);

const options: PreferenceBatchOptions = { kind: 'preference', batchSize: 2, shuffle: false };

/** What the loss would see: for each slot its label ids. */
function labelsBySlot({ inputs }: PreferenceBatch): number[][] {
  const { documents, labels, slots } = inputs;
  return Array.from(slots?.data ?? [], (slot) =>
    Array.from(labels?.data ?? []).filter((_, at) => documents?.data[at] === slot),
  );
}

test.each([true, false])('the first slots are chosen documents, the others rejected ones; packing %s', (packing) => {
  const [batch] = preferenceBatches(pairs, { ...options, packing }).next().value;
  if (batch === undefined) throw new Error('no batch');
  expect(labelsBySlot(batch)).toEqual([[10], [11, 11], [20, 20, 20], [21, 21, 21]]);
  expect([...(batch.inputs['lengths']?.data ?? [])]).toEqual([1, 2, 3, 3]);
  expect([...(batch.inputs['weights']?.data ?? [])]).toEqual([1, 1]);
  expect(batch).toMatchObject({ weight: 2, rows: 2, batch: packing ? 1 : 4 });
  expect(batch.inputs['reference']).toBeUndefined();
});

test('pairs that do not fit in one sequence become several micro-batches with slots for all', () => {
  const step = preferenceBatches(pairs, { ...options, batchSize: 4, maxPackedTokens: 24 }).next().value;
  expect(step.length).toBeGreaterThan(1);
  expect(step.reduce((total, { weight }) => total + weight, 0)).toBe(4);
  for (const { inputs, weight } of step) {
    expect(inputs['slots']?.shape).toEqual([8]);
    expect(Array.from(inputs['weights']?.data ?? []).filter((one) => one === 1).length).toBe(weight);
  }
});

test('the cross-entropy is a mean over the tokens of the whole step', () => {
  for (const [nll, tokens] of [
    ['document', 3 + 5 + 7 + 9 - 4],
    ['completion', 1 + 2 + 3 + 4],
  ] as const) {
    const step = preferenceBatches(pairs, { ...options, gradientAccumulation: 2, nll }).next().value;
    const factors = step.flatMap(({ inputs }) => [...(inputs['nll']?.data ?? [])]).filter((factor) => factor > 0);
    expect(factors.length).toBe(tokens);
    for (const factor of factors) expect(factor).toBeCloseTo(4 / tokens, 6);
  }
  // Virtual tokens, here one before each document, are never asked for, nor is the first token after them.
  const [only] = preferenceBatches(pairs, { ...options, nll: 'document', virtualTokens: 1 }).next().value;
  expect([...(only?.inputs['nll']?.data ?? [])].filter((factor) => factor > 0).length).toBe(3 + 5 - 4);
});

test('batches go on from a state', () => {
  const all = preferenceBatches(pairs, { ...options, shuffle: true, seed: 4 });
  all.next();
  const state = all.state;
  const want = all.next().value;
  expect(preferenceBatches(pairs, { ...options, shuffle: true, seed: 4, state }).next().value).toEqual(want);
});

test('the largest step of a run, and what it sees', () => {
  const [largest] = largestPreferenceBatches(pairs, { ...options, steps: 2 });
  expect(largest?.tokens).toBe(preferenceBatches(pairs.slice(2, 4), options).next().value[0]?.tokens);
  expect(examplesInOrder(pairs, { ...options, steps: 1 })).toEqual({ examples: pairs.flat(), seen: 2 });
  expect(examplesInOrder(pairs, { ...options, steps: 9 }).seen).toBe(5);
  const shuffled = { ...options, shuffle: true, seed: 4 };
  const { examples, seen } = examplesInOrder(pairs, { ...shuffled, steps: 2 });
  expect(examples.map(({ line }) => line)).not.toEqual([1, 2, 3, 4, 5]);
  const ordered = preferenceBatches(
    [...examples].map((example) => [example] as const),
    options,
  );
  const drawn = preferenceBatches(pairs, shuffled);
  for (let step = 0; step < seen / 2; step++) expect(drawn.next()).toEqual(ordered.next());
});

test('an evaluation has every pair once, in one shape', () => {
  const batches = preferenceEvaluationBatches(pairs, { kind: 'preference', maxPackedTokens: 30 });
  expect(batches.length).toBeGreaterThan(1);
  expect(batches.reduce((total, { weight }) => total + weight, 0)).toBe(5);
  expect(
    new Set(batches.map(({ inputs }) => JSON.stringify(Object.values(inputs).map(({ shape }) => shape)))).size,
  ).toBe(1);
});

const judged = (labels: readonly boolean[]): ExampleGroup[] =>
  judgedGroups(
    labels.map((isGood, at) => ({
      line: at + 1,
      prompt: Int32Array.of(1, 1 + at),
      completion: Int32Array.of(30 + at, 30 + at),
      isGood,
    })),
    { size: 2, shuffle: false },
  );

test('judged rows come with their group, and say what makes a difference of means', () => {
  const groups = judged([true, false, false, false]);
  const step = preferenceBatches(groups, { ...options, kind: 'kto', gradientAccumulation: 2 }).next().value;
  const balance = step.flatMap(({ inputs }) => [...(inputs['balance']?.data ?? [])]);
  expect(balance[0]).toBe(4);
  for (const value of balance.slice(1)) expect(value).toBeCloseTo(-4 / 3, 6);
  const [first] = step;
  expect([...(first?.inputs['signs']?.data ?? [])]).toEqual([1, -1]);
  expect(Array.from(first?.inputs['mismatchedLabels']?.data ?? []).filter((label) => label > 0)).toEqual([
    31, 31, 30, 30,
  ]);
  expect(step.map(({ unstated }) => unstated)).toEqual([undefined, undefined]);
  const alike = preferenceBatches(judged([true, true]), { ...options, kind: 'kto' }).next().value;
  expect(alike.map(({ unstated }) => unstated)).toEqual([['margin']]);
  expect(preferenceEvaluationBatches(groups, { kind: 'kto' }).map(({ weight }) => weight)).toEqual([2, 2]);
});

test('documents to be scored keep their places', () => {
  const documents = pairs.flat().flatMap((pair) => pair.documents);
  const batches = documentBatches(documents, { maxPackedTokens: 16 });
  expect(batches.length).toBeGreaterThan(1);
  for (const count of documents.keys()) {
    const some = documentBatches(documents, { maxPackedTokens: 16, count });
    expect(some).toEqual(batches.slice(0, some.length));
    const scored = some.flatMap((batch) => batch.documents).length;
    expect(scored).toBeGreaterThanOrEqual(count);
    expect(scored - count).toBeLessThan(batches[some.length - 1]?.documents.length ?? 1);
  }
  expect(batches.flatMap((batch) => batch.documents).sort((a, b) => a - b)).toEqual([...documents.keys()]);
  for (const { inputs, documents: inSlots } of batches)
    for (const [slot, at] of inSlots.entries()) {
      const own = inputs.labels.data.filter((_, position) => inputs.documents.data[position] === slot);
      expect([...own]).toEqual([...(documents[at]?.labels ?? [])].filter((label) => label !== ignored));
    }
});
