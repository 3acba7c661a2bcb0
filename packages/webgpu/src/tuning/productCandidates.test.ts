import { expect, it } from 'vitest';
import { defaultLimits } from '../constants.js';
import { chooseProduct } from '../choices.js';
import type { ProductSize } from '../choices.js';
import { profileOf } from '../profile.js';
import type { Tier } from '../profile.js';
import { productCandidates } from './productCandidates.js';

const gpu = {
  vendor: 'amd',
  architecture: 'rdna-3',
  device: '',
  description: '',
  software: false,
  features: ['subgroups', 'shader-f16', 'subgroup-size-control', 'chromium-experimental-subgroup-matrix'],
  subgroupMinSize: 32,
  subgroupMaxSize: 64,
  subgroupMatrices: [{ m: 16, n: 16, k: 16, operand: 'f16', sum: 'f32' }],
};

const sizes: readonly ProductSize[] = [
  [512, 768, 768],
  [1024, 2048, 768],
  [512, 8, 768],
  [768, 8, 512],
  [8, 768, 512],
  [1, 768, 768],
  [6, 15, 7],
].map(([m = 1, n = 1, k = 1]) => {
  return { batch: 1, m, n, k, transposeA: false, transposeB: true, encoded: false, operands: 'f32·f32', fused: false };
});

it.each(['registers', 'portable', 'subgroups', 'f16', 'matrices'] satisfies Tier[])(
  'of tier %s: few, the table’s first, each once, within the limits',
  (tier) => {
    const profile = profileOf(gpu, { tier });
    for (const size of sizes) {
      const candidates = productCandidates(size, { profile, limits: defaultLimits });
      expect(candidates.length).toBeGreaterThan(1);
      expect(candidates.length).toBeLessThanOrEqual(30);
      expect(new Set(candidates.map(({ name }) => name)).size).toBe(candidates.length);
      const [table] = candidates;
      expect(chooseProduct(size, { profile, tuning: { measured: () => table?.form } })).toEqual(
        chooseProduct(size, { profile, tuning: {} }),
      );
      for (const { form } of candidates) {
        expect(form.kind).toBe(table?.form.kind);
        const lanes = form.kind === 'matrix' ? 32 : 1;
        expect(form.wx * form.wy * lanes).toBeLessThanOrEqual(defaultLimits.maxComputeInvocationsPerWorkgroup);
      }
    }
  },
);
