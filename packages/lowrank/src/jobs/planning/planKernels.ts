import { portableProfile, portableSpec, lowerPlan } from '@lowrank/webgpu';
import type { DeviceProfile, KernelDispatch } from '@lowrank/webgpu';
import type { BackendSpec, Plan } from '@lowrank/tensor/backend';
import type { MatmulAttrs, Spec } from '@lowrank/tensor/op';
import { plannedRun } from './plannedRun.js';
import type { PlanOptions } from './plannedRun.js';
import { planDecoding } from './planDecoding.js';
import { readModelConfig } from './planConfig.js';
import { commonLimits } from './planDevice.js';
import { planRun } from './planRun.js';

/** Options of `planKernels`: a plan's, and the GPU. */
export interface PlanKernelsOptions extends Omit<PlanOptions, 'device' | 'memory' | 'on' | 'steps' | 'precision'> {
  /** The GPU to write kernels for. Default: one of which nothing is known. */
  readonly profile?: DeviceProfile;
  /** Bytes of workgroup memory that the GPU has. Default: what every GPU has, 16 KiB. */
  readonly workgroupMemory?: number;
  /** Of a training step (the default), of a text of `maxLength` (its prompt is read, a token drawn), or of a token. */
  readonly of?: 'step' | 'text' | 'token';
  /**
   * Every product in a launch of its own and no sums of products, as matrices in codes are launched: so those over any
   * matrix compare. Default: no.
   */
  readonly apart?: boolean;
}

/** A kernel of a plan: its WGSL (entry point `main`), and how often a step launches it. */
export interface PlannedKernel {
  readonly label: string;
  readonly code: string;
  readonly launches: number;
  /** Bytes that its launches bind, all together: an upper bound of what they read and write once. */
  readonly bytes: number;
}

/**
 * Every distinct kernel of a training step or of a text, most bytes first, without a GPU: for compilers and profilers
 * of GPUs that are not at hand.
 *
 * @throws LowrankError as {@link planFineTune}
 */
export async function planKernels(options: PlanKernelsOptions): Promise<PlannedKernel[]> {
  const { plans, profile } = await planStepOn(options);
  const limits = { maxComputeWorkgroupStorageSize: options.workgroupMemory ?? 2 ** 14 };
  return distinct(plans.flatMap((plan) => lowerPlan(plan, { profile, limits })));
}

/** The plans of a training step, or of a text, on a GPU of this profile. */
export async function planStepOn({
  profile = portableProfile(),
  of = 'step',
  apart = false,
  ...options
}: PlanKernelsOptions): Promise<{ plans: readonly Plan[]; profile: DeviceProfile }> {
  const model = await readModelConfig(options);
  const known = portableSpec(commonLimits, { profile });
  const spec = apart ? withoutSums(known) : known;
  const device = { name: 'a GPU', spec, memoryBytes: undefined };
  const run = plannedRun(options, model);
  if (of === 'step') return { plans: (await planRun(run, device)).plans, profile };
  const { prefill, decode } = await planDecoding(run, device);
  const plans = of === 'token' ? [decode] : [prefill, decode];
  return { plans, profile };
}

function withoutSums(spec: BackendSpec): BackendSpec {
  const product = (inputs: readonly Spec[], attrs: object): boolean =>
    (attrs as MatmulAttrs).further === undefined && spec.fusion.product?.(inputs, attrs) === true;
  return { ...spec, launchClass: () => undefined, fusion: { ...spec.fusion, product } };
}

function distinct(dispatches: readonly KernelDispatch[]): PlannedKernel[] {
  const kernels = new Map<string, PlannedKernel>();
  for (const { label, code, bindings } of dispatches) {
    const bytes = bindings.reduce((sum, binding) => sum + (binding.access === 'uniform' ? 0 : binding.bytes), 0);
    const known = kernels.get(code) ?? { label, code, launches: 0, bytes: 0 };
    kernels.set(code, { ...known, launches: known.launches + 1, bytes: known.bytes + bytes });
  }
  return [...kernels.values()].sort((a, b) => b.bytes - a.bytes);
}
