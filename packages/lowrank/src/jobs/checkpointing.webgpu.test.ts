import { createWebgpuBackend } from '@lowrank/webgpu';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { expectClose, goldenFineTune, scratch } from '../testing.js';

test('on WebGPU a run with checkpointing goes the way of one without', async () => {
  using folder = scratch();
  const backend = await createWebgpuBackend();
  const plain = await goldenFineTune({ backend, execution: 'fused', output: join(folder.path, 'plain'), steps: 2 });
  const { metrics, expected } = await goldenFineTune({
    backend,
    execution: 'fused',
    checkpointing: true,
    output: join(folder.path, 'out'),
    steps: 2,
  });
  backend.dispose();
  const count = Math.min(metrics.length, plain.metrics.length);
  expect(count).toBeGreaterThanOrEqual(2);
  expectClose(
    metrics.slice(0, count).map(({ loss }) => loss),
    plain.metrics.slice(0, count).map(({ loss }) => loss),
    1e-6,
  );
  expectClose(
    metrics.map(({ grad_norm }) => grad_norm),
    expected.gradNorms.slice(0, metrics.length),
    1e-4,
  );
});
