import { expect, test } from 'vitest';
import { fewestRecomputed, overBudget } from './memoryBudget.js';

/** A step of 100 bytes, and 10 for each of 8 layers that is not computed twice. */
const bytesOf = (count: number | true): Promise<number> =>
  Promise.resolve(100 + 10 * (8 - (count === true ? 8 : count)));

test.each([
  [1000, { layers: 0, bytes: 180 }],
  [180, { layers: 0, bytes: 180 }],
  [179, { layers: 1, bytes: 170 }],
  [135, { layers: 5, bytes: 130 }],
  [110, { layers: 7, bytes: 110 }],
  [109, { layers: true, bytes: 100 }],
  [99, undefined],
])('within %i bytes: %j', async (budget, expected) => {
  expect(await fewestRecomputed(8, budget, bytesOf)).toEqual(expected);
});

test('counts without a plan are passed over', async () => {
  const some = async (count: number | true): Promise<number | undefined> =>
    count === true || count > 5 ? bytesOf(count) : undefined;
  expect(await fewestRecomputed(8, 150, some)).toEqual({ layers: 6, bytes: 120 });
});

test('the error says what a step takes, and what would do', () => {
  expect(overBudget(1e9, 1.2e9, ['--quantization nf4 (900MB)']).message).toMatch(
    /1000MB.*a step of 1200MB.*fits with --quantization nf4/s,
  );
  expect(overBudget(1e9, undefined, []).message).toMatch(/no plan.*lowrank plan/s);
});
