import type { DeviceProfile } from '@lowrank/webgpu';
import type { LaunchGroup, PlannedLaunch } from '../launches.js';
import { plannedLaunches } from '../launches.js';
import type { PlanExecution } from '../planExecutions.js';
import type { Bounds } from './bounds.js';
import { middleOf } from './bounds.js';
import type { DeviceRates } from './deviceRates.js';

/** Seconds that something is expected to take, and the bounds that the figures behind it leave. */
export interface ExpectedSeconds {
  readonly expected: number;
  readonly least: number;
  readonly most: number;
}

/** All launches of a group in a step. */
export interface GroupTime {
  readonly group: LaunchGroup;
  readonly dispatches: number;
  readonly flops: number;
  readonly bytes: number;
  /** Of their work at the device's rates: max(operations / F, bytes / B). */
  readonly best: number;
  /** Expected. */
  readonly seconds: number;
}

export interface StepTime {
  readonly seconds: ExpectedSeconds;
  /** The dearest first. */
  readonly groups: readonly GroupTime[];
}

/**
 * The time of a training step by a roofline (Williams et al. 2009): a launch takes
 *
 *     max(operations / F, bytes / B) / e + dispatches · l
 *
 * seconds, with a device's rates F and B, the share e of them that launches of its group reach, and the time l that a
 * dispatch takes beside its work. Caches, occupancy and what runs at the same time are not modelled.
 *
 * @param profile of a GPU; without one every step of a plan is a launch, as on the CPU backend
 */
export function stepTime(
  executions: readonly Pick<PlanExecution, 'plan' | 'times'>[],
  rates: DeviceRates,
  profile?: DeviceProfile,
): StepTime {
  const groups = new Map<LaunchGroup, GroupTime>();
  const seconds = { expected: 0, least: 0, most: 0 };
  for (const { plan, times } of executions)
    for (const launch of plannedLaunches(plan, profile)) {
      const { group, dispatches, flops, bytes } = launch;
      for (const which of ['expected', 'least', 'most'] as const)
        seconds[which] += times * secondsOf(launch, rates, cases[which]);
      const known = groups.get(group) ?? { group, dispatches: 0, flops: 0, bytes: 0, best: 0, seconds: 0 };
      groups.set(group, {
        group,
        dispatches: known.dispatches + times * dispatches,
        flops: known.flops + times * flops,
        bytes: known.bytes + times * bytes,
        best: known.best + times * workOf(launch, rates, middleOf),
        seconds: known.seconds + times * secondsOf(launch, rates, cases.expected),
      });
    }
  return { seconds, groups: [...groups.values()].sort((a, b) => b.seconds - a.seconds) };
}

/** Which of their bounds rates and times are taken at. */
interface Case {
  readonly rate: (bounds: Bounds) => number;
  readonly time: (bounds: Bounds) => number;
}

const cases: Readonly<Record<keyof ExpectedSeconds, Case>> = {
  expected: { rate: middleOf, time: middleOf },
  least: { rate: ({ most }) => most, time: ({ least }) => least },
  most: { rate: ({ least }) => least, time: ({ most }) => most },
};

function secondsOf(launch: PlannedLaunch, rates: DeviceRates, { rate, time }: Case): number {
  return workOf(launch, rates, rate) / rate(rates.efficiency(launch.group)) + launch.dispatches * time(rates.launch);
}

function workOf({ flops, bytes }: PlannedLaunch, rates: DeviceRates, rate: Case['rate']): number {
  return Math.max(flops / rate(rates.flops), bytes / rate(rates.bytes));
}
