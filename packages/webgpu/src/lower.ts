import type { Plan, Step } from '@lowrank/tensor/backend';
import type { KernelTuning } from './choices.js';
import { defaultLimits } from './constants.js';
import type { Limits } from './constants.js';
import type { KernelContext, KernelDispatch, KernelEntry } from './kernel.js';
import { portableProfile } from './profile.js';
import type { DeviceProfile } from './profile.js';
import { kernelLookup } from './spec.js';

/** What `lowerPlan` lowers for: default, a GPU of which nothing is known. */
export interface LowerOptions {
  readonly limits?: Limits;
  readonly profile?: DeviceProfile;
  readonly tuning?: KernelTuning;
  /** Kernels of ops that other packages declare, by op name. */
  readonly kernels?: Readonly<Record<string, KernelEntry>>;
}

/** What turns a plan's steps into dispatches. */
export function lowering(
  plan: Plan,
  { limits = defaultLimits, profile = portableProfile(), tuning = {}, kernels }: LowerOptions = {},
): (step: Step) => KernelDispatch[] {
  const kernel = kernelLookup(kernels);
  const at = plan.buffers.findIndex(({ kind }) => kind === 'scalars');
  const scalars = at < 0 ? undefined : { buffer: at, bytes: plan.buffers[at]?.bytes ?? 0 };
  const context: KernelContext = { limits, profile, tuning, scalars };
  return (step) => kernel(step.op).launches(step, context);
}

/**
 * The dispatches of a plan, in order, as a device of this profile would run them: WGSL, bindings and workgroups. No
 * device is needed.
 */
export function lowerPlan(plan: Plan, options: LowerOptions = {}): KernelDispatch[] {
  return plan.steps.flatMap(lowering(plan, options));
}
