import type { AdapterDescription } from '../adapters.js';
import type { Robustness } from '../dawnFeatures.js';
import { describeProfile } from '../profile.js';
import type { DeviceProfile } from '../profile.js';
import type { TuningScope } from './tuningRecord.js';

/** Put there by the build (tsup.base.ts). */
declare const LOWRANK_VERSION: string | undefined;

/** The name under which a device's decisions are kept, in letters, digits and dashes: one for each tier. */
export function recordName(
  { vendor, architecture, device }: Pick<AdapterDescription, 'vendor' | 'architecture' | 'device'>,
  { tier, precision }: Pick<DeviceProfile, 'tier' | 'precision'>,
): string {
  const words = [vendor, architecture, device, tier, precision].filter((word) => word !== '');
  return words
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 100);
}

/**
 * What decisions hold for: the adapter as it describes itself, where its driver's version stands in Node; the browser;
 * how kernels are written and guarded; and the version of Lowrank.
 */
export function scopeOf({
  adapter: { vendor, architecture, device, description },
  profile,
  robustness,
}: {
  readonly adapter: Pick<AdapterDescription, 'vendor' | 'architecture' | 'device' | 'description'>;
  readonly profile: DeviceProfile;
  readonly robustness: Robustness;
}): TuningScope {
  const browser = globalThis.navigator as (Navigator & { gpu?: unknown }) | undefined;
  const runtime = browser?.gpu === undefined ? '' : browser.userAgent;
  const kernels = `${profile.precision} ${describeProfile(profile)}, robustness ${robustness}`;
  const parts = [vendor, architecture, device, description, kernels, runtime];
  // Sources have no version: only what is built has.
  const version = typeof LOWRANK_VERSION === 'undefined' ? '' : LOWRANK_VERSION;
  return { version, device: parts.filter((part) => part !== '').join('; ') };
}
