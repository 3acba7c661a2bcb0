import { LowrankError } from '@lowrank/errors';
import type { AdapterDescription } from './adapters.js';

/**
 * Which kernels may run, each tier with what the tiers before it have:
 *
 * - `registers`: no workgroup memory and no barriers, for adapters that compute on a CPU, where barriers are dear;
 * - `portable`: workgroup memory within WebGPU's default limits, and no optional feature: runs on every GPU;
 * - `subgroups`: sums and maxima by subgroup operations, of any size (feature `subgroups`).
 */
export const tiers = ['registers', 'portable', 'subgroups'] as const;
/** Which kernels may run: a name of `tiers`. */
export type Tier = (typeof tiers)[number];

/** The optional features that a tier cannot do without. */
export const tierFeatures: Readonly<Record<Tier, readonly GPUFeatureName[]>> = {
  registers: [],
  portable: [],
  subgroups: ['subgroups'],
};

/**
 * What kernels are chosen by: a device's abilities, as far as its tier lets kernels use them. `choices.ts` has every
 * choice that is made from it.
 */
export interface DeviceProfile {
  readonly vendor: string;
  readonly architecture: string;
  /** A CPU pretends to be a GPU: a few workgroups fill it. */
  readonly software: boolean;
  readonly tier: Tier;
  /** The subgroup sizes that a pipeline may get; undefined below the tier `subgroups`. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
}

/** What decides a device's profile, beside its adapter. */
export interface ProfileOptions {
  /** Features of the device, where it was not given all of the adapter's. */
  readonly features?: ReadonlySet<string>;
  /** In place of the best tier. */
  readonly tier?: Tier | undefined;
}

/**
 * The profile of an adapter: of the best tier it reaches, `registers` on software, or of the one that is asked for.
 *
 * @throws LowrankError `webgpu.tier` for a tier whose features are missing
 */
export function profileOf(
  adapter: Omit<AdapterDescription, 'limits'>,
  { features = new Set(adapter.features), tier: asked }: ProfileOptions = {},
): DeviceProfile {
  const { vendor, architecture, software, subgroupMinSize: min = 4, subgroupMaxSize: max = 128 } = adapter;
  const best = tiers.findLast((name) => tierFeatures[name].every((feature) => features.has(feature))) ?? 'portable';
  const tier = asked ?? (software ? 'registers' : best);
  const missing = tierFeatures[tier].filter((feature) => !features.has(feature));
  if (missing.length > 0)
    throw new LowrankError({
      code: 'webgpu.tier',
      what: `kernels of the tier ${tier}`,
      expected: `a device with ${missing.join(', ')}`,
      got: `${[vendor, architecture].filter((part) => part !== '').join(' ')} without`,
      remedy: `Choose the tier ${best}, or leave the choice to Lowrank.`,
    });
  return {
    vendor,
    architecture,
    software,
    tier,
    subgroups: tier === 'subgroups' ? { min, max } : undefined,
  };
}

/** The profile of a GPU of which nothing is known but that it has WebGPU, or of an unknown software adapter. */
export function portableProfile({ software = false }: { readonly software?: boolean } = {}): DeviceProfile {
  const nothing = { vendor: '', architecture: '', device: '', description: '', features: [] };
  return profileOf({ ...nothing, software, subgroupMinSize: undefined, subgroupMaxSize: undefined });
}

/**
 * The tier that the environment variable `LOWRANK_KERNELS` names, for tests and comparisons; undefined where there is
 * none.
 *
 * @throws LowrankError `webgpu.tier` for another word
 */
export function tierOfEnvironment(env: Readonly<Record<string, string | undefined>> = environment()): Tier | undefined {
  const word = env['LOWRANK_KERNELS'];
  const found = tiers.find((tier) => tier === word);
  if (word === undefined || word === '' || found !== undefined) return found;
  throw new LowrankError({ code: 'webgpu.tier', what: 'LOWRANK_KERNELS', expected: tiers.join(', '), got: word });
}

function environment(): Readonly<Record<string, string | undefined>> {
  return typeof process === 'undefined' ? {} : (process.env ?? {});
}

/** A profile in a few words, for people: `subgroups kernels (32 lanes)`. */
export function describeProfile({ tier, subgroups }: DeviceProfile): string {
  if (subgroups === undefined) return `${tier} kernels`;
  const { min, max } = subgroups;
  return `${tier} kernels (${min === max ? min : `${min} to ${max}`} lanes)`;
}
