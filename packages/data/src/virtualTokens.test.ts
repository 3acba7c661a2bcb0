import { expect, test } from 'vitest';
import type { EncodedRow } from './encodeRow.js';
import { packBatch } from './tokenBatch.js';
import { withVirtualTokens } from './virtualTokens.js';

const row: EncodedRow = {
  line: 3,
  ids: Int32Array.of(1, 7, 5, 2),
  labels: Int32Array.of(1, 7, 5, 2),
  labelTokens: 3,
  fullLength: 4,
  promptIsPrefix: true,
};

test('virtual tokens come before each row, without a label; as many labels are left as the row had', () => {
  const [first, second] = withVirtualTokens(
    [row, { ...row, ids: Int32Array.of(1, 2), labels: Int32Array.of(-100, 2), labelTokens: 1, fullLength: 9 }],
    { vocabularySize: 10, virtualTokens: 2 },
  );
  expect(first).toEqual({
    ...row,
    ids: Int32Array.of(10, 11, 1, 7, 5, 2),
    labels: Int32Array.of(-100, -100, -100, 7, 5, 2),
    fullLength: 6,
  });
  expect(second?.ids).toEqual(Int32Array.of(10, 11, 1, 2));
  const batch = packBatch([first, second].filter((one) => one !== undefined));
  expect(batch.weight).toBe(4);
  expect(batch.inputs.labels.data.filter((label) => label >= 0)).toHaveLength(4);
  expect(batch.inputs.positions.data.subarray(0, 10)).toEqual(Int32Array.of(0, 1, 2, 3, 4, 5, 0, 1, 2, 3));
});

test('with none of them rows stay what they are', () => {
  const rows = [row];
  expect(withVirtualTokens(rows, { vocabularySize: 10, virtualTokens: 0 })).toBe(rows);
});
