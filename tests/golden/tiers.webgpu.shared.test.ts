import { createWebgpuBackend } from '@lowrank/webgpu';
import type { Tier, WebgpuBackend } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { testTiers } from '../../packages/webgpu/src/testing/kernelHarness.js';
import type { Nearness } from './goldenRun.js';
import { expectTrajectory, mixedNearness, openGolden } from './goldenRun.js';
import { curveOf, settings } from './quantizedSuite.js';

const named = process.env['LOWRANK_TEST_TIERS'] !== undefined;
// Unless tiers are named: `registers`, which a software adapter has by itself, goes this way in
// webgpu.webgpu.shared.test.ts, and QLoRA in quantized.webgpu.shared.test.ts.
const tiers = named ? testTiers : testTiers.filter((tier) => tier !== 'registers');
// Barriers are what SwiftShader is slowest at; all 30 where tiers are asked for by name, on a driver of the caller's.
const steps = Number(process.env['LOWRANK_GOLDEN_STEPS'] ?? (named ? 30 : 2));
// A CPU takes an hour for thirty steps on subgroup matrices.
const patience = named ? 7_200_000 : 1_200_000;

async function open(tier: Tier): Promise<WebgpuBackend> {
  const backend = await createWebgpuBackend({ limits: 'default', tier });
  expect(backend.profile.tier).toBe(tier);
  return backend;
}

const bounds = ({ profile }: WebgpuBackend): Nearness => (profile.precision === 'mixed' ? mixedNearness : {});

test.each(tiers)(
  `stories260K, %s kernels: ${steps} steps against PyTorch`,
  async (tier) => {
    const backend = await open(tier);
    const golden = await openGolden('stories260K');
    await expectTrajectory(golden, backend, { steps, ...bounds(backend) });
    golden.model.dispose();
    backend.dispose();
  },
  patience,
);

test.each(named ? tiers : [])(
  `stories260K in NF4, %s kernels: ${steps} steps against PyTorch`,
  async (tier) => {
    const backend = await open(tier);
    const golden = await openGolden('stories260K', {
      quantization: settings['nf4'],
      backend: () => Promise.resolve(backend),
    });
    const expected = await curveOf('stories260K', 'nf4');
    await expectTrajectory(golden, backend, { expected, steps, ...bounds(backend) });
    golden.model.dispose();
    backend.dispose();
  },
  patience,
);
