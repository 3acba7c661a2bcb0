import type { GroupProfile, KernelProfile, ProfileReport, TimedLaunch } from '@lowrank/study';
import type { Backend } from '@lowrank/tensor';
import type { Plan } from '@lowrank/tensor/backend';
import type { BackendOrOpener } from '../../device.js';
import { openBackend } from '../../device.js';
import { readModelConfig } from '../planning/planConfig.js';
import type { PlanOptions } from '../planning/plannedRun.js';
import { plannedRun } from '../planning/plannedRun.js';
import { executionsOf } from '../planning/planExecutions.js';
import { groupsOf } from '../planning/launches.js';
import { planRun } from '../planning/planRun.js';
import { probedRates } from '../planning/time/deviceRates.js';
import { stepTime } from '../planning/time/stepTime.js';
import type { StepTime } from '../planning/time/stepTime.js';
import { kernelProfileOf, kindOf } from './deviceKind.js';
import { probe } from './probes.js';
import type { Probes } from './probes.js';
import type { ProfiledPlan } from './profilePlan.js';
import { profilePlan } from './profilePlan.js';

/** Options of a profile: those of a plan, and the device that it runs on. */
export interface ProfileOptions extends Omit<PlanOptions, 'device' | 'memory' | 'on' | 'steps'> {
  readonly backend: BackendOrOpener;
  /** Runs of a step; of each kernel the shortest time counts. Default 3. */
  readonly repeats?: number | undefined;
}

/** A profile, and every launch of it in order. */
export interface Profile {
  readonly report: ProfileReport;
  readonly launches: readonly TimedLaunch[];
}

/**
 * Where the time of a training step goes, kernel by kernel: the step of a plan runs on the device over memory that
 * holds small numbers, so that no weights are needed. The arguments, which say where documents end, are a batch's.
 *
 * @throws LowrankError as `planFineTune`; `profile.backend` for a backend that times no kernels; what the device throws
 */
export async function profileFineTune({ backend: given, repeats, ...options }: ProfileOptions): Promise<Profile> {
  const model = await readModelConfig(options);
  const run = plannedRun(options, model);
  const backend = await openBackend(given, { precision: options.precision });
  const device = { name: `${backend.name}, ${backend.description}`, spec: backend.spec, memoryBytes: undefined };
  const cost = await tunedCost(backend, () => planRun(run, device));
  const probes = await probe(backend, { isSlow: kindOf(backend) !== 'gpu' });
  const parts: { plan: Plan; profiled: ProfiledPlan; times: number }[] = [];
  for (const { plan, inputs, times } of executionsOf(cost))
    parts.push({ plan, times, profiled: await profilePlan(backend, plan, { ...(inputs && { inputs }), repeats }) });
  const launches = parts.flatMap(({ plan, profiled, times }) => launchesOf(plan, profiled, times));
  const expected = stepTime(parts, probedRates(probes, kindOf(backend)), kernelProfileOf(backend));
  return {
    launches,
    report: {
      model: model.name,
      method: run.method,
      device: device.name,
      clock: parts[0]?.profiled.clock ?? 'host',
      batches: cost.microBatches.map(({ batch, length }) => ({ batch, length })),
      expected_ms: 1000 * expected.seconds.expected,
      step_ms: parts.reduce((sum, { profiled, times }) => sum + times * profiled.wholeMilliseconds, 0),
      kernel_ms: launches.reduce((sum, { milliseconds, times }) => sum + milliseconds * times, 0),
      launches: launches.reduce((sum, { times }) => sum + times, 0),
      flops: cost.flops,
      bytes: launches.reduce((sum, { bytes, times }) => sum + bytes * times, 0),
      probes,
      groups: byGroup(launches, expected),
      kernels: byKernel(launches, probes),
    },
  };
}

/** As a training plans it: what the backend measures may make it other plans. */
async function tunedCost<Cost extends { readonly plans: readonly Plan[] }>(
  { kernelChoices }: Backend,
  plan: () => Promise<Cost>,
): Promise<Cost> {
  const version = kernelChoices?.version;
  const first = await plan();
  for (const each of first.plans) await kernelChoices?.tune(each);
  return kernelChoices?.version === version ? first : plan();
}
/** Operations of a step, or a group of steps, that is several launches belong to the first of them. */
function launchesOf(plan: Plan, { launches }: ProfiledPlan, times: number): TimedLaunch[] {
  const counted = new Set<number>();
  const launched = new Set(launches.map(({ step }) => step));
  const groupOf = groupsOf(plan);
  return launches.map(({ step: index, kernel, start, milliseconds, bytes }) => {
    const step = plan.steps[index];
    const flops = counted.has(index) ? 0 : flopsFrom(plan, index, launched);
    counted.add(index);
    const group = step === undefined ? '' : groupOf(step);
    return { kernel, group, scope: step?.scope ?? '', start, milliseconds, bytes, flops, times };
  });
}

/** Of a step, and of those behind it that run with it: they have no launch of their own. */
function flopsFrom({ steps }: Plan, index: number, launched: ReadonlySet<number>): number {
  const group = steps[index]?.group;
  let flops = steps[index]?.flops ?? 0;
  for (let at = index + 1; group !== undefined && steps[at]?.group === group && !launched.has(at); at++)
    flops += steps[at]?.flops ?? 0;
  return flops;
}

interface Totals {
  readonly launches: number;
  readonly milliseconds: number;
  readonly bytes: number;
  readonly flops: number;
}

/** What launches of one name take together, the dearest first. */
function totalsBy(launches: readonly TimedLaunch[], nameOf: (launch: TimedLaunch) => string): [string, Totals][] {
  const totals = new Map<string, Totals>();
  for (const launch of launches) {
    const { milliseconds, bytes, flops, times } = launch;
    const known = totals.get(nameOf(launch)) ?? { launches: 0, milliseconds: 0, bytes: 0, flops: 0 };
    totals.set(nameOf(launch), {
      launches: known.launches + times,
      milliseconds: known.milliseconds + milliseconds * times,
      bytes: known.bytes + bytes * times,
      flops: known.flops + flops * times,
    });
  }
  return [...totals].sort(([, a], [, b]) => b.milliseconds - a.milliseconds);
}

/** With what a model of the device makes of them. */
function byGroup(launches: readonly TimedLaunch[], { groups }: StepTime): GroupProfile[] {
  return totalsBy(launches, ({ group }) => group).map(([group, totals]) => {
    const { best = 0, seconds = 0 } = groups.find((each) => each.group === group) ?? {};
    return { group, ...totals, best_ms: 1000 * best, expected_ms: 1000 * seconds };
  });
}

function byKernel(launches: readonly TimedLaunch[], probes: Probes): KernelProfile[] {
  const all = launches.reduce((sum, { milliseconds, times }) => sum + milliseconds * times, 0);
  return totalsBy(launches, ({ kernel }) => kernel).map(([kernel, totals]): KernelProfile => {
    const { milliseconds, bytes, flops } = totals;
    const seconds = Math.max(1e-9, milliseconds / 1000);
    const least = Math.max(flops / probes.flops_per_second, bytes / probes.bytes_per_second);
    return {
      kernel,
      ...totals,
      share: all === 0 ? 0 : milliseconds / all,
      flops_per_second: flops / seconds,
      bytes_per_second: bytes / seconds,
      of_best: Math.min(1, least / seconds),
    };
  });
}
