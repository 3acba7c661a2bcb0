import type { RunCost } from '../planRun.js';
import { executionsOf } from '../planExecutions.js';
import type { Bounds } from './bounds.js';
import { calibrations } from './calibrations.js';
import type { Calibration } from './calibrations.js';
import type { ExpectedSeconds, GroupTime } from './stepTime.js';
import { stepTime } from './stepTime.js';
import type { TimeTarget } from './timeTarget.js';

/** The time that a run is expected to take on a device, and how far such a model was off where it could be measured. */
export interface PlannedTime {
  readonly step_seconds: ExpectedSeconds;
  readonly tokens_per_second: number;
  readonly steps: number;
  readonly run_seconds: ExpectedSeconds;
  /** Where the time of a step goes, the dearest first. */
  readonly groups: readonly (Omit<GroupTime, 'best'> & { readonly share: number })[];
  readonly rates: {
    readonly flops_per_second: Bounds;
    readonly bytes_per_second: Bounds;
    readonly launch_seconds: Bounds;
    readonly source: string;
  };
  /** What the model was compared with: |expected / measured − 1| of whole steps. */
  readonly checked: readonly Pick<Calibration, 'device' | 'date' | 'runs' | 'error'>[];
  /** Whether this kind of device is among them: a real GPU was never measured. */
  readonly is_checked: boolean;
}

/** Steps of a run whose length is not said. */
const usualSteps = 1000;

/** The time of a planned run. */
export function plannedTime(
  cost: Pick<RunCost, 'plans' | 'microBatches'>,
  { rates, profile, source }: TimeTarget,
  steps: number = usualSteps,
): PlannedTime {
  const { seconds, groups } = stepTime(executionsOf(cost), rates, profile);
  const tokens = cost.microBatches.reduce((sum, { batch, length }) => sum + batch * length, 0);
  const { expected, least, most } = seconds;
  return {
    step_seconds: seconds,
    tokens_per_second: tokens / expected,
    steps,
    run_seconds: { expected: steps * expected, least: steps * least, most: steps * most },
    groups: groups.map(({ group, dispatches, flops, bytes, seconds: each }) => ({
      group,
      dispatches,
      flops,
      bytes,
      seconds: each,
      share: each / expected,
    })),
    rates: {
      flops_per_second: rates.flops,
      bytes_per_second: rates.bytes,
      launch_seconds: rates.launch,
      source,
    },
    checked: Object.values(calibrations).map(({ device, date, runs, error }) => ({ device, date, runs, error })),
    is_checked: profile === undefined || profile.software,
  };
}
