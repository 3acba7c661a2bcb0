import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClose, golden, runCli, scratch, trainGolden } from '../testing.js';

test('train: --optimizer adamw8bit keeps small tensors in f32, so that a tiny model goes PyTorch’s way', async () => {
  using folder = scratch();
  const { metrics, expected } = await trainGolden({
    method: 'full',
    output: join(folder.path, 'out'),
    flags: ['--optimizer', 'adamw8bit'],
  });
  expectClose(
    metrics.map(({ loss }) => loss),
    expected.losses,
    1e-4,
  );
});

test('train: an unknown optimizer is told with those there are', async () => {
  using folder = scratch();
  const { code, stderr } = await runCli([
    'train',
    '--model',
    join(golden, 'tied'),
    '--data',
    join(golden, 'train/rows.jsonl'),
    '--output',
    join(folder.path, 'out'),
    '--optimizer',
    'adam',
  ]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/--optimizer.*adamw, adamw8bit.*adam/s);
});
