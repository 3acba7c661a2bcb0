import { describeProfile } from '../profile.js';
import { ProductTrack } from './productContest.js';
import type { TrackOptions } from './productContest.js';
import { TunedChoices } from './tunedChoices.js';
import { Tuner } from './tuner.js';
import type { TunerOptions } from './tunerOptions.js';
import { recordName, scopeOf } from './tuningScope.js';

/** The choices of a device: measured as the options say, or only those that a checkpoint brings. */
export function openChoices(track: TrackOptions, options: TunerOptions | undefined): TunedChoices {
  const { device, profile } = track;
  const { limits, adapter, robustness } = device;
  const context = { profile, limits };
  const kernels = `${adapter.vendor} ${adapter.architecture} ${describeProfile(profile)}`;
  if (options === undefined) return new TunedChoices(undefined, { context, device: kernels });
  const stage = {
    ...context,
    now: () => performance.now(),
    open: (...given: Parameters<ProductTrack['open']>) => new ProductTrack(track).open(...given),
  };
  const scope = scopeOf({ adapter, profile, robustness });
  const tuner = new Tuner(stage, { ...options, name: recordName(adapter, profile), scope });
  return new TunedChoices(tuner, { context, device: kernels });
}
