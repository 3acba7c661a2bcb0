import { describe, expect, it } from 'vitest';
import { batches } from './batches.js';
import { complaint, rowOf } from './testing.js';
import { padBatch } from './tokenBatch.js';

const rows = Array.from({ length: 7 }, (_, i) => rowOf([1, 10 + i, 2], 1, i + 1));
const lines = (rows: readonly { line: number }[]): number[] => rows.map(({ line }) => line);

describe('batches', () => {
  it('without shuffling takes rows in file order, wrapping', () => {
    const stream = batches(rows, { batchSize: 3, shuffle: false, layout: lines });
    expect([stream.next().value, stream.next().value, stream.next().value]).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 1, 2],
    ]);
  });

  it('goes on from its saved state', () => {
    const stream = batches(rows, { batchSize: 3, seed: 5, layout: lines });
    for (let k = 0; k < 4; k++) stream.next();
    const resumed = batches(rows, { batchSize: 3, seed: 5, layout: lines, state: { ...stream.state } });
    for (let k = 0; k < 10; k++) expect(resumed.next()).toEqual(stream.next());
    expect(resumed.state).toEqual(stream.state);
  });

  it('packs by default, and can be looped over', () => {
    for (const batch of batches(rows, { batchSize: 2, shuffle: false })) {
      expect(batch).toMatchObject({ batch: 1, rows: 2, tokens: 6, weight: 4, length: 16 });
      break;
    }
    expect(batches(rows, { batchSize: 2, layout: padBatch }).next().value.batch).toBe(2);
  });

  it.each([0, -1, 1.5, NaN])('refuses a batch size of %d', async (batchSize) => {
    expect((await complaint(() => batches(rows, { batchSize }))).code).toBe('data.batchSize');
  });
});
