import { createCpuBackend } from '@lowrank/cpu';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClose, goldenFineTune, scratch } from '../testing.js';

test.each(['unfused', 'unplanned'] as const)('on the CPU %s goes the golden way', async (execution) => {
  using folder = scratch();
  const backend = await createCpuBackend();
  const { metrics, expected } = await goldenFineTune({ backend, execution, output: join(folder.path, 'out') });
  backend.dispose();
  expect(metrics.length).toBe(12);
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
