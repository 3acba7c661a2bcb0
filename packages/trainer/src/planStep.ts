import type { BackendSpec, Plan } from '@lowrank/tensor/backend';
import { planFunction } from '@lowrank/tensor/backend';
import type { BatchShape } from './batch.js';
import { asBatch, batchSpecs } from './batch.js';
import type { FlatVector, TrainedParameter } from './parameters.js';
import { outlineParameters } from './parameters.js';
import type { StepOptions } from './stepTraces.js';
import { StepTraces } from './stepTraces.js';

export interface PlanStepOptions extends StepOptions {
  /** What the compiler may assume of the device. */
  readonly spec: BackendSpec;
  /** Each becomes a view of a flat vector that holds nothing. */
  readonly parameters: readonly TrainedParameter[];
  /** The batches of a step: one, or several that are accumulated. */
  readonly window: readonly BatchShape[];
}

export interface PlannedStep {
  /** What `createTrainStep` would compile for such a step: they share one arena. */
  readonly plans: readonly Plan[];
  readonly vectors: readonly FlatVector[];
  /** Floating-point operations of a step, all its batches together. */
  readonly flops: number;
}

/**
 * Plans a training step without a device, without weights and without their memory. Throws what the compiler throws,
 * and what flattenParameters does.
 */
export function planTrainStep({ spec, parameters, window, ...options }: PlanStepOptions): PlannedStep {
  const vectors = outlineParameters(parameters, spec, options);
  const traces = new StepTraces(options, vectors);
  const flopsOf = (plan: Plan | undefined): number => plan?.steps.reduce((total, { flops }) => total + flops, 0) ?? 0;
  const [first, second] = window;
  if (first !== undefined && second === undefined) {
    const whole = planFunction((inputs) => traces.whole(asBatch(inputs)), batchSpecs(first), spec);
    return { plans: [whole], vectors, flops: flopsOf(whole) };
  }
  const keyOf = ({ batch, length }: BatchShape): string => `${batch}x${length}`;
  const parts = new Map(window.map((shape) => [keyOf(shape), shape]));
  const plans = new Map(
    [...parts].map(([key, shape]) => [
      key,
      planFunction((inputs) => traces.part(asBatch(inputs)), batchSpecs(shape), spec),
    ]),
  );
  const update = planFunction(() => traces.update(), {}, spec);
  return {
    plans: [...plans.values(), update],
    vectors,
    flops: window.reduce((total, shape) => total + flopsOf(plans.get(keyOf(shape))), flopsOf(update)),
  };
}
