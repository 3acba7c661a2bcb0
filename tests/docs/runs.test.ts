import { expect, test } from 'vitest';
import { blocks, runBlocks, wantsGpu, wantsRedis } from './blocks';

runBlocks(
  blocks.filter((block) => !wantsGpu(block) && !wantsRedis(block)),
  'cpu',
);

test('there are blocks to run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(9);
});

test('the snippet of tensors alone fits its line', async () => {
  const { fitted } = await import('../../docs/snippets/fitLine');
  expect(fitted[0]).toBeCloseTo(2, 3);
  expect(fitted[1]).toBeCloseTo(-1, 3);
});
