import { createCpuBackend } from '@lowrank/cpu';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClose, goldenFineTune, scratch } from '../testing.js';

test('on the CPU a run with checkpointing goes the golden way', async () => {
  using folder = scratch();
  const backend = await createCpuBackend();
  const plain = await goldenFineTune({ backend, execution: 'fused', output: join(folder.path, 'plain') });
  const { metrics, expected } = await goldenFineTune({
    backend,
    execution: 'fused',
    checkpointing: true,
    output: join(folder.path, 'out'),
  });
  backend.dispose();
  expect(metrics.length).toBe(12);
  expectClose(
    metrics.map(({ loss }) => loss),
    plain.metrics.map(({ loss }) => loss),
    1e-6,
  );
  expectClose(
    metrics.map(({ loss }) => loss),
    expected.losses,
    1e-4,
  );
  expectClose(
    metrics.map(({ grad_norm }) => grad_norm),
    expected.gradNorms,
    1e-4,
  );
});
