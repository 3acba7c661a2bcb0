import type { Precision } from '@lowrank/tensor/backend';
import { matrixFeature, sizeFeature, tierFeatures, tierOfEnvironment } from './profile.js';
import type { Tier } from './profile.js';

/** The options of a device that decide its features. */
interface Wishes {
  readonly tier?: Tier;
  readonly precision?: Precision;
  readonly limits?: 'adapter' | 'default';
}

const usefulFeatures = ['shader-f16', 'subgroups', 'timestamp-query'];
/** Of the tier `matrices`, asked for only where kernels may use them. */
const matrixFeatures = [matrixFeature, sizeFeature];

function wantsHalf({ tier = tierOfEnvironment(), precision }: Wishes): boolean {
  return precision === 'mixed' || tier === 'f16' || tier === 'matrices';
}

/** The features without which a device of these options cannot be had. */
export function neededFeatures({ tier = tierOfEnvironment(), precision }: Wishes): string[] {
  const half = precision === 'mixed' || (tier === 'matrices' && precision !== 'f32');
  return [...new Set([...(tier === undefined ? [] : tierFeatures[tier]), ...(half ? tierFeatures.f16 : [])])];
}

/** The features that a device is asked for, of those that its adapter has. */
export function requestedFeatures(offered: ReadonlySet<string>, options: Wishes): GPUFeatureName[] {
  const { tier = tierOfEnvironment() } = options;
  const least = [...neededFeatures(options), ...(tier === 'matrices' ? matrixFeatures : [])];
  const most = [...usefulFeatures, ...(wantsHalf(options) ? matrixFeatures : [])];
  const wanted = new Set(options.limits === 'default' ? least : most);
  // The type of the names lacks Chromium's experimental ones.
  return [...wanted].filter((feature) => offered.has(feature)) as GPUFeatureName[];
}

/**
 * Dawn's options with the features that 16 bits take: it hides f16 on NVIDIA, and subgroup matrices everywhere, unless
 * it is told otherwise. Both stay off where they are not asked for.
 */
export function withDawnFeatures(dawnOptions: readonly string[] = [], wishes: Wishes = {}): readonly string[] {
  if (!wantsHalf(wishes)) return dawnOptions;
  const prefix = 'enable-dawn-features=';
  const given = dawnOptions.filter((option) => option.startsWith(prefix));
  const names = given.flatMap((option) => option.slice(prefix.length).split(','));
  const all = new Set([...names, 'allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia']);
  return [...dawnOptions.filter((option) => !given.includes(option)), `${prefix}${[...all].join(',')}`];
}
