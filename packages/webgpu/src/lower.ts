import type { Plan, Step } from '@lowrank/tensor/backend';
import type { KernelTuning } from './choices.js';
import { defaultLimits } from './constants.js';
import type { Limits } from './constants.js';
import type { KernelContext, KernelDispatch, KernelEntry } from './kernel.js';
import { mergeDispatches } from './mergeDispatches.js';
import { portableProfile } from './profile.js';
import type { DeviceProfile } from './profile.js';
import { kernelLookup } from './spec.js';

/** What `lowerPlan` lowers for: default, a GPU of which nothing is known. */
export interface LowerOptions {
  /** Those that are not given are WebGPU's defaults. */
  readonly limits?: Partial<Limits>;
  readonly profile?: DeviceProfile;
  readonly tuning?: KernelTuning;
  /** Kernels of ops that other packages declare, by op name. */
  readonly kernels?: Readonly<Record<string, KernelEntry>>;
}

/** A dispatch of a plan, and the step that it is of: the first, where several became one. */
export interface Launch {
  readonly launch: KernelDispatch;
  readonly step: Step;
}

/**
 * The dispatches of a plan, in order, as a device of this profile would run them: WGSL, bindings and workgroups. Steps
 * of a group become one dispatch, where limits allow it. No device is needed.
 */
export function lowerSteps(
  plan: Plan,
  { limits: given, profile = portableProfile(), tuning = {}, kernels }: LowerOptions = {},
): Launch[] {
  const limits: Limits = { ...defaultLimits, ...given };
  const kernel = kernelLookup(kernels);
  const at = plan.buffers.findIndex(({ kind }) => kind === 'scalars');
  const scalars = at < 0 ? undefined : { buffer: at, bytes: plan.buffers[at]?.bytes ?? 0 };
  const context: KernelContext = { limits, profile, tuning, scalars };
  return groupsOf(plan.steps).flatMap((group) => {
    const members = group.map((step) => kernel(step.op).launches(step, context));
    const [step] = group;
    if (step === undefined) return [];
    const stages = Math.max(...members.map(({ length }) => length));
    return Array.from({ length: stages }, (_, stage) => members.flatMap((launches) => launches[stage] ?? [])).flatMap(
      (stage) => merged(stage, limits).map((launch) => ({ launch, step })),
    );
  });
}

function groupsOf(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (step.group !== undefined && step.group === last?.[0]?.group) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

/**
 * As few dispatches as possible of some that do not depend on each other. One that binds more than the limits allow
 * binds neighbours as one.
 */
function merged(dispatches: readonly KernelDispatch[], limits: Limits): readonly KernelDispatch[] {
  const stored = dispatches.flatMap(({ bindings }) => bindings.filter(({ access }) => access !== 'uniform'));
  if (dispatches.length < 2 && stored.length <= limits.maxStorageBuffersPerShaderStage) return dispatches;
  const whole = mergeDispatches(dispatches, limits);
  return whole === undefined ? dispatches : [whole];
}

/** The dispatches of {@link lowerSteps}. */
export function lowerPlan(plan: Plan, options: LowerOptions = {}): KernelDispatch[] {
  return lowerSteps(plan, options).map(({ launch }) => launch);
}
