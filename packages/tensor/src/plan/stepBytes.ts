import type { Step } from '../backend.js';

/**
 * Bytes that a step moves at the least: each operand read or written once, scratch memory both. Of a table that rows
 * are gathered from, only those rows.
 */
export function stepBytes({
  op,
  inputs,
  outputs,
  workspace,
}: Pick<Step, 'op' | 'inputs' | 'outputs' | 'workspace'>): number {
  const written = outputs.reduce((sum, { bytes }) => sum + bytes, 0);
  const read = inputs.reduce(
    (sum, { bytes }, at) => sum + (op === 'gatherRows' && at === 0 ? Math.min(bytes, written) : bytes),
    0,
  );
  return read + written + 2 * (workspace?.bytes ?? 0);
}
