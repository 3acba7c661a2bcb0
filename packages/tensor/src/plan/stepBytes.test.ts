import { expect, test } from 'vitest';
import { stepBytes } from '../entries/backend.js';

const operand = (bytes: number) => ({ buffer: 0, offset: 0, bytes, shape: [bytes / 4], dtype: 'f32' as const });

test('each operand counts once, scratch memory twice', () => {
  const step = { op: 'matmul', inputs: [operand(64), operand(32)], outputs: [operand(16)] } as const;
  expect(stepBytes({ ...step, workspace: undefined })).toBe(112);
  expect(stepBytes({ ...step, workspace: operand(8) })).toBe(128);
});

test('of a table only the rows that are gathered', () => {
  const step = { op: 'gatherRows', inputs: [operand(4096), operand(8)], outputs: [operand(128)] } as const;
  expect(stepBytes({ ...step, workspace: undefined })).toBe(264);
});
