import { LowrankError } from '@lowrank/errors';
import type { AdapterDescription } from './adapters.js';
import { matrixShapeOf } from './matrixShape.js';
import type { MatrixShape } from './matrixShape.js';
import type { Precision } from '@lowrank/tensor/backend';

/**
 * Which kernels may run, each tier with what the tiers before it have, as far as the device has it:
 *
 * - `registers`: no workgroup memory and no barriers, for adapters that compute on a CPU, where barriers are dear;
 *   products by subgroups where all are of one small size;
 * - `portable`: workgroup memory within WebGPU's default limits, and no optional feature: runs on every GPU;
 * - `subgroups`: sums and maxima by subgroup operations, of any size (feature `subgroups`);
 * - `f16`: matrix products of operands that are rounded to 16 bits, with f32 sums (feature `shader-f16`);
 * - `matrices`: the same on the matrix units of the GPU, by subgroup matrices (Chromium's experimental feature).
 */
export const tiers = ['registers', 'portable', 'subgroups', 'f16', 'matrices'] as const;
/** Which kernels may run: a name of `tiers`. */
export type Tier = (typeof tiers)[number];

/** The features of subgroup matrices, which the type of WebGPU's names does not know yet. */
export const matrixFeature = 'chromium-experimental-subgroup-matrix';
export const sizeFeature = 'subgroup-size-control';

/** The optional features that a tier cannot do without. */
export const tierFeatures: Readonly<Record<Tier, readonly string[]>> = {
  registers: [],
  portable: [],
  subgroups: ['subgroups'],
  f16: ['shader-f16'],
  matrices: ['subgroups', matrixFeature],
};

/** The tiers of each precision, the best last; `registers` only software takes by itself. */
const tiersOf = {
  f32: ['portable', 'subgroups'],
  mixed: ['f16', 'matrices'],
} as const satisfies Record<Precision, readonly Tier[]>;

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
  readonly precision: Precision;
  /** The subgroup sizes that a pipeline may get; undefined in the tier `portable`, and where there are none. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /** The matrices that the tier `matrices` multiplies. */
  readonly matrices: MatrixShape | undefined;
}

/** What decides a device's profile, beside its adapter. */
export interface ProfileOptions {
  /** Features of the device, where it was not given all of the adapter's. */
  readonly features?: ReadonlySet<string>;
  /** In place of the best tier. */
  readonly tier?: Tier | undefined;
  /** Default `f32`; of the tiers `f16` and `matrices`, `mixed`. */
  readonly precision?: Precision | undefined;
}

/**
 * The profile of an adapter: of the best tier of the precision that it reaches (on software `registers`, in f32), or of
 * the tier that is asked for. In f32 the tier `matrices` is taken only by name, where matrices of f32 are offered.
 *
 * @throws LowrankError `webgpu.tier` for a tier whose features are missing; `webgpu.precision` for `mixed` without f16,
 *   and for a tier of the other precision
 */
export function profileOf(
  adapter: Omit<AdapterDescription, 'limits'>,
  { features = new Set(adapter.features), tier: askedTier, precision: askedPrecision }: ProfileOptions = {},
): DeviceProfile {
  const { vendor, architecture, software, subgroupMinSize: min = 4, subgroupMaxSize: max = 128 } = adapter;
  const precision = askedPrecision ?? precisionOf(askedTier);
  const reached = (name: Tier): boolean => lackOf(name, precision, adapter, features) === undefined;
  const best = tiersOf[precision].findLast(reached);
  const device = [vendor, architecture].filter((part) => part !== '').join(' ');
  if (precision === 'mixed' && best === undefined) throw withoutHalf(device);
  const tier = askedTier ?? (software && precision === 'f32' ? 'registers' : (best ?? 'portable'));
  if (!fits(tier, precision))
    throw new LowrankError({
      code: 'webgpu.precision',
      what: `precision ${precision} in the kernels of the tier ${tier}`,
      expected: precision === 'mixed' ? tiersOf.mixed.join(' or ') : [...tiersOf.f32, 'registers'].join(', '),
      got: tier,
      remedy: 'Name a precision or a tier, not both.',
    });
  const missing = lackOf(tier, precision, adapter, features);
  if (missing !== undefined)
    throw new LowrankError({
      code: 'webgpu.tier',
      what: `kernels of the tier ${tier}`,
      expected: `a device with ${missing}`,
      got: `${device} without`,
      remedy: `Choose the tier ${best ?? 'portable'}, or leave the choice to Lowrank.`,
    });
  const hasSubgroups = features.has('subgroups') && tier !== 'portable';
  return {
    vendor,
    architecture,
    software,
    tier,
    precision,
    subgroups: hasSubgroups ? { min, max } : undefined,
    matrices: tier === 'matrices' ? matrixShapeOf(adapter, features, precision) : undefined,
  };
}

function precisionOf(tier: Tier | undefined): Precision {
  return tier === 'f16' || tier === 'matrices' ? 'mixed' : 'f32';
}

function fits(tier: Tier, precision: Precision): boolean {
  return tier === 'matrices' || (precision === 'mixed') === (tier === 'f16');
}

/** What a device lacks for a tier, in words; undefined where it lacks nothing. */
function lackOf(
  tier: Tier,
  precision: Precision,
  adapter: Omit<AdapterDescription, 'limits'>,
  features: ReadonlySet<string>,
): string | undefined {
  const needed = [...tierFeatures[tier], ...(precision === 'mixed' ? tierFeatures.f16 : [])];
  const missing = needed.filter((feature) => !features.has(feature));
  if (missing.length > 0) return [...new Set(missing)].join(', ');
  if (tier !== 'matrices' || matrixShapeOf(adapter, features, precision) !== undefined) return undefined;
  return `subgroup matrices of ${precision === 'mixed' ? 'f16' : 'f32'} with f32 sums`;
}

/** The error of `mixed` where there is no f16. */
export function withoutHalf(device: string): LowrankError {
  return new LowrankError({
    code: 'webgpu.precision',
    what: 'precision mixed',
    expected: 'a device with 16-bit floats (shader-f16)',
    got: `${device} without`,
    remedy: 'Choose precision f32.',
  });
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

/** A profile in a few words, for people: `matrices kernels (32 lanes, f16 16x16x16)`. */
export function describeProfile({ tier, subgroups, matrices }: DeviceProfile): string {
  const { min, max } = subgroups ?? { min: 0, max: 0 };
  const lanes = subgroups === undefined ? [] : [`${min === max ? min : `${min} to ${max}`} lanes`];
  const shape = matrices === undefined ? [] : [`${matrices.operand} ${matrices.m}x${matrices.n}x${matrices.k}`];
  const parts = [...lanes, ...shape];
  return parts.length === 0 ? `${tier} kernels` : `${tier} kernels (${parts.join(', ')})`;
}
