import type { LaunchGroup } from './launches.js';
import { plannedLaunches } from './launches.js';
import { planStepOn } from './planKernels.js';
import type { PlanKernelsOptions } from './planKernels.js';

/** What a group of a step's launches costs: `products`, `thin products`, `attention`, … */
export interface LaunchCost {
  readonly group: LaunchGroup;
  readonly dispatches: number;
  /** Operands read and results written, each once per launch, and partial sums both ways. */
  readonly bytes: number;
}

/**
 * Dispatches and bytes of a training step, by groups of launches, most bytes first, without a GPU.
 *
 * @throws LowrankError as {@link planFineTune}
 */
export async function planTraffic(options: PlanKernelsOptions): Promise<LaunchCost[]> {
  const { plans, profile } = await planStepOn(options);
  const groups = new Map<LaunchGroup, LaunchCost>();
  for (const { group, dispatches, bytes } of plans.flatMap((plan) => plannedLaunches(plan, profile))) {
    const known = groups.get(group) ?? { group, dispatches: 0, bytes: 0 };
    groups.set(group, { group, dispatches: known.dispatches + dispatches, bytes: known.bytes + bytes });
  }
  return [...groups.values()].sort((a, b) => b.bytes - a.bytes);
}
