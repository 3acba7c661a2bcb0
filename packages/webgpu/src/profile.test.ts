import { expect, it } from 'vitest';
import { describeProfile, portableProfile, profileOf, tierOfEnvironment } from './profile.js';

const gpu = {
  vendor: 'amd',
  architecture: 'rdna-3',
  device: '',
  description: '',
  software: false,
  features: ['subgroups'],
  subgroupMinSize: 32,
  subgroupMaxSize: 64,
};

it('takes the best tier that a GPU reaches, and registers on software', () => {
  expect(profileOf(gpu)).toMatchObject({ tier: 'subgroups', subgroups: { min: 32, max: 64 } });
  expect(profileOf({ ...gpu, features: [] })).toMatchObject({ tier: 'portable', subgroups: undefined });
  expect(profileOf({ ...gpu, software: true }).tier).toBe('registers');
  expect(portableProfile().tier).toBe('portable');
});

it('takes a tier that is asked for, and refuses one that the device lacks', () => {
  expect(profileOf(gpu, { tier: 'portable' })).toMatchObject({ tier: 'portable', subgroups: undefined });
  expect(profileOf({ ...gpu, software: true }, { tier: 'subgroups' }).tier).toBe('subgroups');
  const withoutFeature = { tier: 'subgroups', features: new Set<string>() } as const;
  expect(() => profileOf(gpu, withoutFeature)).toThrow(/the tier subgroups: expected a device with subgroups/);
});

it('reads the tier from the environment, and refuses another word', () => {
  expect(tierOfEnvironment({})).toBeUndefined();
  expect(tierOfEnvironment({ LOWRANK_KERNELS: 'portable' })).toBe('portable');
  expect(() => tierOfEnvironment({ LOWRANK_KERNELS: 'fast' })).toThrow(
    /expected registers, portable, subgroups, got fast/,
  );
});

it('describes itself in a few words', () => {
  expect(describeProfile(profileOf(gpu))).toBe('subgroups kernels (32 to 64 lanes)');
  expect(describeProfile(portableProfile({ software: true }))).toBe('registers kernels');
});
