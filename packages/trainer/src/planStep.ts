import type { TrainedParameter } from '@lowrank/nn';
import type { BackendSpec, Plan } from '@lowrank/tensor/backend';
import { planFunction } from '@lowrank/tensor/backend';
import type { Batch, TokenInput } from './batch.js';
import { inputSpecs } from './batch.js';
import type { FlatVector } from './parameters.js';
import { outlineParameters } from './parameters.js';
import type { StepOptions } from './stepTraces.js';
import { StepTraces } from './stepTraces.js';

export interface PlanStepOptions<Name extends string = TokenInput> extends StepOptions<Name> {
  /** What the compiler may assume of the device. */
  readonly spec: BackendSpec;
  /** Each becomes a view of a flat vector that holds nothing. */
  readonly parameters: readonly TrainedParameter[];
  /** The micro-batches of a step; only their shapes and dtypes count. */
  readonly microBatches: readonly Batch<Name>[];
}

/** What a training step would need: plans, vectors and operations, before any memory is taken. */
export interface PlannedStep {
  /** What `createTrainStep` would compile for such a step: they share one arena. */
  readonly plans: readonly Plan[];
  readonly vectors: readonly FlatVector[];
  /** Floating-point operations of a step, all its micro-batches together. */
  readonly flops: number;
}

/**
 * Plans a training step without a device, without weights and without their memory. Throws what the compiler throws,
 * and what flattenParameters does.
 */
export function planTrainStep<Name extends string = TokenInput>({
  spec,
  parameters,
  microBatches,
  ...options
}: PlanStepOptions<Name>): PlannedStep {
  const vectors = outlineParameters(parameters, spec, options);
  const traces = new StepTraces(options, vectors, spec.precision);
  const [first, second] = microBatches;
  if (first !== undefined && second === undefined) {
    const whole = planFunction((inputs) => traces.whole(inputs), inputSpecs(first.inputs), spec);
    return { plans: [whole], vectors, flops: flopsOf(whole) };
  }
  const plans = new Map<string, Plan>();
  let flops = 0;
  for (const { inputs } of microBatches) {
    const specs = inputSpecs(inputs);
    const key = JSON.stringify(specs);
    const plan = plans.get(key) ?? planFunction((traced) => traces.accumulate(traced), specs, spec);
    plans.set(key, plan);
    flops += flopsOf(plan);
  }
  const update = planFunction(() => traces.update(), {}, spec);
  return { plans: [...plans.values(), update], vectors, flops: flops + flopsOf(update) };
}

function flopsOf({ steps }: Plan): number {
  return steps.reduce((total, { flops }) => total + flops, 0);
}
