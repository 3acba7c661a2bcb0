import { createWebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { testTiers } from '../../packages/webgpu/src/testing/kernelHarness.js';
import { expectTrajectory, openGolden } from './goldenRun.js';

// The tier of a software adapter, `registers`, goes this way in webgpu.webgpu.shared.test.ts.
const tiers = testTiers.filter((tier) => tier !== 'registers');
// Barriers are what SwiftShader is slowest at; all 30 where tiers are asked for by name, on a driver of the caller's.
const steps = process.env['LOWRANK_TEST_TIERS'] === undefined ? 2 : 30;

test.each(tiers)(
  `stories260K, %s kernels: ${steps} steps against PyTorch`,
  async (tier) => {
    const backend = await createWebgpuBackend({ limits: 'default', tier });
    expect(backend.profile.tier).toBe(tier);
    const golden = await openGolden('stories260K');
    const mixed = { tolerance: 3e-3, normTolerance: 1e-2 };
    await expectTrajectory(golden, backend, { steps, ...(backend.profile.precision === 'mixed' && mixed) });
    golden.model.dispose();
    backend.dispose();
  },
  1_200_000,
);
