import { createWebgpuBackend } from '@lowrank/webgpu';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClose, goldenFineTune, scratch } from '../testing.js';

test.each(['unfused', 'unplanned'] as const)('on WebGPU %s goes the golden way', async (execution) => {
  using folder = scratch();
  const backend = await createWebgpuBackend();
  const { metrics, expected } = await goldenFineTune({
    backend,
    execution,
    output: join(folder.path, 'out'),
    steps: 3,
  });
  backend.dispose();
  expectClose(
    metrics.map(({ loss }) => loss),
    expected.losses.slice(0, metrics.length),
    1e-4,
  );
  expectClose(
    metrics.map(({ grad_norm }) => grad_norm),
    expected.gradNorms.slice(0, metrics.length),
    1e-4,
  );
  expect(metrics.length).toBeGreaterThanOrEqual(3);
});
