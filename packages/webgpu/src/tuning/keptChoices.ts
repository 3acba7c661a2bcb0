import type { AdapterDescription } from '../adapters.js';
import type { Robustness } from '../dawnFeatures.js';
import { profileOf } from '../profile.js';
import type { ProfileOptions } from '../profile.js';
import type { TuningStore } from './tunerOptions.js';
import { readDecisions } from './tuningRecord.js';
import type { Decision } from './tuningRecord.js';
import { recordName, scopeOf } from './tuningScope.js';

/** What was decided for the products of a shape class. */
export interface MeasuredChoice extends Decision {
  readonly shape: string;
}

/** What a store holds that counts for an adapter now; nothing where it was measured for another driver or version. */
export async function keptChoices(
  store: TuningStore,
  adapter: AdapterDescription,
  { robustness = 'on', ...options }: ProfileOptions & { readonly robustness?: Robustness } = {},
): Promise<MeasuredChoice[]> {
  const profile = profileOf(adapter, options);
  const text = await store.read(recordName(adapter, profile)).catch(() => undefined);
  const decisions = text === undefined ? undefined : readDecisions(text, scopeOf({ adapter, profile, robustness }));
  return [...(decisions ?? [])].map(([shape, decision]) => ({ shape, ...decision }));
}
