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
  const software = { ...gpu, software: true, subgroupMinSize: 8, subgroupMaxSize: 8 };
  expect(profileOf(software)).toMatchObject({ tier: 'registers', subgroups: { min: 8, max: 8 } });
  expect(portableProfile().tier).toBe('portable');
});

it('takes a tier that is asked for, and refuses one that the device lacks', () => {
  expect(profileOf(gpu, { tier: 'portable' })).toMatchObject({ tier: 'portable', subgroups: undefined });
  expect(profileOf({ ...gpu, software: true }, { tier: 'subgroups' }).tier).toBe('subgroups');
  const withoutFeature = { tier: 'subgroups', features: new Set<string>() } as const;
  expect(() => profileOf(gpu, withoutFeature)).toThrow(/the tier subgroups: expected a device with subgroups/);
});

const matrices = [
  { m: 16, n: 16, k: 16, operand: 'f16', sum: 'f16' },
  { m: 16, n: 8, k: 16, operand: 'f16', sum: 'f32' },
  { m: 16, n: 16, k: 16, operand: 'f16', sum: 'f32' },
  { m: 16, n: 16, k: 32, operand: 'u8', sum: 'u32' },
];
const features = ['subgroups', 'shader-f16', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix'];
const modern = { ...gpu, features, subgroupMatrices: matrices };

it('in mixed precision takes matrix units where there are any, else tiles of f16, else fails', () => {
  const size = { m: 16, n: 16, k: 16, operand: 'f16', lanes: 32 };
  const profile = profileOf(modern, { precision: 'mixed' });
  expect(profile).toMatchObject({ tier: 'matrices', precision: 'mixed', matrices: { ...size, sized: true } });
  expect(describeProfile(profile)).toBe('matrices kernels (32 to 64 lanes, f16 16x16x16)');
  expect(profileOf({ ...modern, subgroupMatrices: [] }, { precision: 'mixed' }).tier).toBe('f16');
  // Subgroups of 32 lanes cannot be asked for.
  const unsized = new Set(features.filter((name) => name !== 'subgroup-size-control'));
  expect(profileOf(modern, { precision: 'mixed', features: unsized }).tier).toBe('f16');
  expect(profileOf({ ...modern, subgroupMaxSize: 32 }, { precision: 'mixed', features: unsized })).toMatchObject({
    tier: 'matrices',
    matrices: { lanes: 32, sized: false },
  });
  const software = { ...gpu, software: true, features: ['shader-f16'] };
  expect(profileOf(software, { precision: 'mixed' })).toMatchObject({ tier: 'f16', subgroups: undefined });
  expect(() => profileOf(gpu, { precision: 'mixed' })).toThrow(/precision mixed: expected a device with 16-bit floats/);
});

it('stays in f32 without being asked, and knows which tiers go with which precision', () => {
  expect(profileOf(modern)).toMatchObject({ tier: 'subgroups', precision: 'f32', matrices: undefined });
  expect(profileOf(modern, { tier: 'f16' }).precision).toBe('mixed');
  expect(() => profileOf(modern, { tier: 'portable', precision: 'mixed' })).toThrow(/precision mixed in the kernels/);
  expect(() => profileOf(modern, { tier: 'f16', precision: 'f32' })).toThrow(/precision f32 in the kernels/);
});

it('knows the matrices of Apple and Intel', () => {
  const apple = { ...modern, vendor: 'apple', subgroupMinSize: 32, subgroupMaxSize: 32 };
  const eight = { m: 8, n: 8, k: 8, operand: 'f32', sum: 'f32' };
  expect(profileOf({ ...apple, subgroupMatrices: [eight] }, { tier: 'matrices', precision: 'f32' }).matrices).toEqual({
    m: 8,
    n: 8,
    k: 8,
    operand: 'f32',
    lanes: 32,
    sized: false,
  });
  const intel = { ...modern, vendor: 'intel', subgroupMinSize: 8, subgroupMaxSize: 32 };
  const wide = { m: 8, n: 16, k: 16, operand: 'f16', sum: 'f32' };
  expect(profileOf({ ...intel, subgroupMatrices: [wide] }, { precision: 'mixed' }).matrices).toMatchObject({
    m: 8,
    n: 16,
    k: 16,
    lanes: 16,
    sized: true,
  });
});

it('reads the tier from the environment, and refuses another word', () => {
  expect(tierOfEnvironment({})).toBeUndefined();
  expect(tierOfEnvironment({ LOWRANK_KERNELS: 'portable' })).toBe('portable');
  expect(() => tierOfEnvironment({ LOWRANK_KERNELS: 'fast' })).toThrow(
    /expected registers, portable, subgroups, f16, matrices, got fast/,
  );
});

it('describes itself in a few words', () => {
  expect(describeProfile(profileOf(gpu))).toBe('subgroups kernels (32 to 64 lanes)');
  expect(describeProfile(portableProfile({ software: true }))).toBe('registers kernels');
});
