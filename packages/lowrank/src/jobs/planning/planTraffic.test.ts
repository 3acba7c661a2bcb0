import { planCost } from '@lowrank/tensor/backend';
import { profileOf } from '@lowrank/webgpu';
import { expect, test } from 'vitest';
import { planKernels, planStepOn } from './planKernels.js';
import { planTraffic } from './planTraffic.js';

const adapter = { vendor: 'nvidia', architecture: 'ampere', device: '', description: '', features: [] };
const software = { ...adapter, software: true, subgroupMinSize: 4, subgroupMaxSize: 4 };
const step = {
  config: 'SmolLM2-135M',
  method: 'lora',
  batchSize: 8,
  maxLength: 512,
  targetModules: 'all-linear',
} as const;

test('dispatches and bytes of a step by groups: all there are, and few on a GPU', async () => {
  const costs = await planTraffic(step);
  const total = (of: 'dispatches' | 'bytes', list = costs): number => list.reduce((sum, cost) => sum + cost[of], 0);
  const kernels = await planKernels(step);
  expect(total('dispatches')).toBe(kernels.reduce((sum, { launches }) => sum + launches, 0));
  // So that a fusion that no longer takes place is noticed: 1,099 dispatches and 29.2 GB.
  expect(total('dispatches')).toBeLessThanOrEqual(1100);
  expect(total('bytes')).toBeLessThan(29.5e9);
  expect(costs.find(({ group }) => group === 'scales')?.dispatches ?? 0).toBeLessThan(10);
  expect(costs.map(({ bytes }) => bytes)).toEqual(costs.map(({ bytes }) => bytes).toSorted((a, b) => b - a));
  // A token of the model alone, and with an adapter beside every layer, which is 5 thin products more in each.
  const token = await planTraffic({ ...step, method: 'full', of: 'token' });
  expect(total('dispatches', token)).toBeLessThanOrEqual(250);
  const adapted = await planTraffic({ ...step, of: 'token' });
  expect(total('dispatches', adapted)).toBeLessThanOrEqual(400);
  // A processor launches every product alone: starting one costs it little.
  const alone = await planTraffic({ ...step, profile: profileOf(software, {}) });
  expect(total('dispatches', alone)).toBeGreaterThan(1600);
});

test('in mixed precision a step moves little more than half as much, and takes less memory', async () => {
  const modern = { ...adapter, software: false, features: ['subgroups', 'shader-f16'] };
  const lanes = { subgroupMinSize: 32, subgroupMaxSize: 32 };
  const profileIn = (precision: 'f32' | 'mixed') => profileOf({ ...modern, ...lanes }, { precision });
  const bytes = async (precision: 'f32' | 'mixed'): Promise<number> =>
    (await planTraffic({ ...step, profile: profileIn(precision) })).reduce((sum, cost) => sum + cost.bytes, 0);
  const [f32, mixed] = await Promise.all([bytes('f32'), bytes('mixed')]);
  // So that a value that is no longer kept in 16 bits is noticed: 17.6 GB of 29.2.
  expect(mixed).toBeLessThan(17.8e9);
  expect(mixed).toBeLessThan(0.61 * f32);
  const arenas = async (precision: 'f32' | 'mixed'): Promise<number> => {
    const { plans } = await planStepOn({ ...step, profile: profileIn(precision) });
    return plans.reduce((sum, plan) => sum + planCost(plan).arenaBytes, 0);
  };
  expect(await arenas('mixed')).toBeLessThan(0.65 * (await arenas('f32')));
});
