import { expect, it } from 'vitest';
import { neededFeatures, requestedFeatures, withDawnFeatures } from './deviceFeatures.js';

const matrix = 'chromium-experimental-subgroup-matrix';
const all = new Set(['shader-f16', 'subgroups', 'timestamp-query', 'subgroup-size-control', matrix]);

it('asks for subgroup matrices only where kernels may use them', () => {
  expect(requestedFeatures(all, {})).toEqual(['shader-f16', 'subgroups', 'timestamp-query']);
  expect(new Set(requestedFeatures(all, { precision: 'mixed' }))).toEqual(all);
  expect(requestedFeatures(new Set(['shader-f16']), { precision: 'mixed' })).toEqual(['shader-f16']);
});

it('asks for no more than a tier needs with default limits', () => {
  const features = (tier: 'portable' | 'f16' | 'matrices'): string[] =>
    requestedFeatures(all, { tier, limits: 'default' });
  expect(features('portable')).toEqual([]);
  expect(features('f16')).toEqual(['shader-f16']);
  expect(new Set(features('matrices'))).toEqual(new Set(['subgroups', matrix, 'shader-f16', 'subgroup-size-control']));
  expect(neededFeatures({ tier: 'matrices', precision: 'f32' })).toEqual(['subgroups', matrix]);
});

it('tells Dawn to show what 16 bits take, beside what it was told already', () => {
  expect(withDawnFeatures(['adapter=x'], {})).toEqual(['adapter=x']);
  expect(withDawnFeatures(['adapter=x', 'enable-dawn-features=skip_validation'], { precision: 'mixed' })).toEqual([
    'adapter=x',
    'enable-dawn-features=skip_validation,allow_unsafe_apis,vulkan_enable_f16_on_nvidia',
  ]);
});
