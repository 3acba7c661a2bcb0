import { describe, expect, it } from 'vitest';
import { complaint, rowOf } from './testing.js';
import { packBatch, packBatches, padBatch } from './tokenBatch.js';
import type { TokenBatch } from './tokenBatch.js';

const bucket = (length: number): number => Math.ceil(length / 4) * 4;
const x = -100;
const rows = [rowOf([1, 5, 6, 2], 2), rowOf([1, 7], 0), rowOf([1, 8, 9], 1)];

const plain = (array: Int32Array): number[] => [...array];

describe('packBatch', () => {
  it('lays documents one after another, with labels that stay within them', () => {
    const batch = packBatch(rows, { bucket, padId: 3 });
    expect(batch).toMatchObject({ batch: 1, length: 12, tokens: 9, rows: 3, weight: 5 });
    expect(plain(batch.inputs.ids.data)).toEqual([1, 5, 6, 2, 1, 7, 1, 8, 9, 3, 3, 3]);
    expect(plain(batch.inputs.labels.data)).toEqual([x, 6, 2, x, 7, x, 8, 9, x, x, x, x]);
    expect(plain(batch.inputs.positions.data)).toEqual([0, 1, 2, 3, 0, 1, 0, 1, 2, 0, 0, 0]);
    expect(plain(batch.inputs.segments.data)).toEqual([
      0, 4, 0, 4, 0, 4, 0, 4, 4, 6, 4, 6, 6, 9, 6, 9, 6, 9, 9, 10, 10, 11, 11, 12,
    ]);
  });
});

describe('padBatch', () => {
  it('gives each row a sequence', () => {
    const batch = padBatch(rows, { bucket });
    expect(batch).toMatchObject({ batch: 3, length: 4, tokens: 9, rows: 3, weight: 5 });
    expect(plain(batch.inputs.ids.data)).toEqual([1, 5, 6, 2, 1, 7, 0, 0, 1, 8, 9, 0]);
    expect(plain(batch.inputs.labels.data)).toEqual([x, 6, 2, x, 7, x, x, x, 8, 9, x, x]);
    expect(plain(batch.inputs.positions.data)).toEqual([0, 1, 2, 3, 0, 1, 0, 0, 0, 1, 2, 0]);
    expect(plain(batch.inputs.segments.data)).toEqual([
      0, 4, 0, 4, 0, 4, 0, 4, 0, 2, 0, 2, 2, 3, 3, 4, 0, 3, 0, 3, 0, 3, 3, 4,
    ]);
  });
});

/** Each label with all that its position may see, which is what the loss depends on. */
function predictions({ batch, length, inputs }: TokenBatch): string[] {
  const [ids, labels, positions, segments] = [inputs.ids, inputs.labels, inputs.positions, inputs.segments].map(
    ({ data }) => data,
  ) as [Int32Array, Int32Array, Int32Array, Int32Array];
  const found: string[] = [];
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < length; t++) {
      const at = b * length + t;
      if (labels[at] === x) continue;
      const start = b * length + (segments[at * 2] ?? 0);
      found.push(
        `${plain(ids.subarray(start, at + 1)).join()} @${plain(positions.subarray(start, at + 1)).join()} -> ` +
          `${labels[at]}`,
      );
    }
  }
  return found.sort();
}

describe('any layout', () => {
  const many = Array.from({ length: 37 }, (_, i) =>
    rowOf(
      Array.from({ length: 2 + ((i * 5) % 23) }, (_, t) => 10 + i * 100 + t),
      i % 4,
      i,
    ),
  );
  const padded = predictions(padBatch(many));
  it('asks for the same predictions from the same contexts', () => {
    expect(padded).toHaveLength(many.reduce((sum, row) => sum + row.labelTokens, 0));
    expect(predictions(packBatch(many))).toEqual(padded);
    const split = packBatches(many, { maxTokens: 61 });
    expect(split.length).toBeGreaterThan(3);
    expect(split.every((batch) => batch.tokens <= 61)).toBe(true);
    expect(split.flatMap(predictions).sort()).toEqual(padded);
    expect(split.reduce((sum, batch) => sum + batch.rows, 0)).toBe(37);
  });

  it('counts its labels', () => {
    for (const batch of [packBatch(many), padBatch(many), ...packBatches(many, { maxTokens: 30 })]) {
      expect(batch.inputs.labels.data.filter((label) => label !== x)).toHaveLength(batch.weight);
    }
  });

  it('is packed as one where all fits', () => {
    expect(packBatches(rows, { maxTokens: 9, bucket })).toEqual([packBatch(rows, { bucket })]);
  });
});

describe('what is refused', () => {
  it.each([
    ['data.empty', () => packBatch([])],
    ['data.empty', () => padBatch([])],
    ['data.bucket', () => padBatch(rows, { bucket: () => 3 })],
    ['data.capacity', () => packBatches(rows, { maxTokens: 3 })],
  ])('%s', async (code, act) => {
    expect((await complaint(act)).code).toBe(code);
  });
});
