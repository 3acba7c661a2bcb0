import { expect, test } from 'vitest';
import { blocks, runBlocks, wantsGpu, wantsRedis } from './blocks';

runBlocks(
  blocks.filter((block) => !wantsGpu(block) && !wantsRedis(block)),
  'cpu',
  // No test downloads a model of that size; tests/runtimes.test.ts runs this example in every runtime.
  {
    'HuggingFaceTB/SmolLM2-135M-Instruct': () => './llama',
    'steps: 200': () => 'steps: 20',
    'steps: 300': () => 'steps: 2',
    'seeds: 3': () => 'seeds: 1, tuneRows: 5',
    "'test.jsonl'": () => "'rows.jsonl'",
  },
);

test('there are blocks to run', () => {
  expect(blocks.length).toBeGreaterThanOrEqual(9);
});

test('the snippet of tensors alone fits its line', async () => {
  const { fitted } = await import('../../docs/snippets/fitLine');
  expect(fitted[0]).toBeCloseTo(2, 3);
  expect(fitted[1]).toBeCloseTo(-1, 3);
});
