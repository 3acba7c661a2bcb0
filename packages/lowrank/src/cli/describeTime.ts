import type { Bounds } from '../jobs/planning/time/bounds.js';
import type { PlannedTime } from '../jobs/planning/time/plannedTime.js';
import type { ExpectedSeconds } from '../jobs/planning/time/stepTime.js';

/** Groups of launches that are shown. */
const shown = 5;

/** The expected time of a planned run, for people: values by name. */
export function timeRows(time: PlannedTime): [string, string][] {
  const { groups, rates, steps } = time;
  const rest = groups.slice(shown).reduce((sum, { share }) => sum + share, 0);
  const shares = groups.slice(0, shown).map(({ group, share }) => `${group} ${percent(share)}`);
  return [
    ['a step', spread(time.step_seconds)],
    [`${steps.toLocaleString('en')} ${steps === 1 ? 'step' : 'steps'}`, spread(time.run_seconds)],
    ['tokens per second', digits(time.tokens_per_second)],
    ['where it goes', [...shares, ...(rest === 0 ? [] : [`all else ${percent(rest)}`])].join(', ')],
    [
      'expected of the device',
      `${between(rates.flops_per_second, 1e9)} GFLOP/s in products, ${between(rates.bytes_per_second, 1e9)} GB/s, ` +
        `${between(rates.launch_seconds, 1e-6)} µs a launch`,
    ],
    ['by', rates.source],
  ];
}

/** How far to trust it. */
export function describeChecks({ checked, is_checked: isChecked }: PlannedTime): string {
  const errors = checked.map(
    ({ device, runs, error }) =>
      `by ${percent(error.median)} (median) and ${percent(error.most)} (at most) of ${runs} steps on ${device}`,
  );
  const off = `where it could be measured this model was off ${errors.join(', ')}`;
  return isChecked ? off : `${off}; on a GPU it was never checked, so this is what its figures promise, no measurement`;
}

function spread({ expected, least, most }: ExpectedSeconds): string {
  return `${seconds(expected)} (${seconds(least)} to ${seconds(most)})`;
}

function seconds(value: number): string {
  if (value < 1) return `${digits(1000 * value)} ms`;
  if (value < 120) return `${digits(value)} s`;
  return value < 7200 ? `${digits(value / 60)} min` : `${digits(value / 3600)} h`;
}

function between({ least, most }: Bounds, unit: number): string {
  const [low, high] = [digits(least / unit), digits(most / unit)];
  return low === high ? low : `${low} to ${high}`;
}

/** Two of them: more would promise too much. */
function digits(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en');
}

function percent(share: number): string {
  return `${Math.round(100 * share)}%`;
}
