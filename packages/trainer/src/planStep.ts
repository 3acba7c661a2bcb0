import type { BackendSpec, Plan } from '@lowrank/tensor';
import { planFunction } from '@lowrank/tensor';
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
  readonly batch: BatchShape;
  /** Batches of a step. Default 1. */
  readonly accumulation?: number;
}

export interface PlannedStep {
  /** What `createTrainStep` would compile for such a step: they share one arena. */
  readonly plans: readonly Plan[];
  readonly vectors: readonly FlatVector[];
  /** Floating-point operations of a step, all its batches together. */
  readonly flops: number;
}

/** Plans a training step without a device, without weights and without their memory. Throws what the compiler throws, and what flattenParameters does. */
export function planTrainStep({ spec, parameters, batch, accumulation = 1, ...options }: PlanStepOptions): PlannedStep {
  const vectors = outlineParameters(parameters, spec);
  const traces = new StepTraces(options, spec, vectors);
  const flopsOf = ({ steps }: Plan): number => steps.reduce((total, { flops }) => total + flops, 0);
  if (accumulation === 1) {
    const whole = planFunction((inputs) => traces.whole(asBatch(inputs)), batchSpecs(batch), spec);
    return { plans: [whole], vectors, flops: flopsOf(whole) };
  }
  const part = planFunction((inputs) => traces.part(asBatch(inputs)), batchSpecs(batch), spec);
  const update = planFunction(() => traces.update(), {}, spec);
  return { plans: [part, update], vectors, flops: accumulation * flopsOf(part) + flopsOf(update) };
}
