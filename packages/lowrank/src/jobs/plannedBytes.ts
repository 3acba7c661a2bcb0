import { planMemory } from '@lowrank/tensor/backend';
import type { PlanStepOptions } from '@lowrank/trainer';
import { planTrainStep } from '@lowrank/trainer';
import type { RunOptions } from '../front/runOptions.js';

export interface PlannedPart extends Pick<PlanStepOptions<string>, 'spec' | 'parameters' | 'random' | 'loss'> {
  readonly microBatches: PlanStepOptions<string>['microBatches'] | undefined;
  readonly options: Pick<RunOptions, 'clip' | 'optimizer'> & { readonly checkpointing?: boolean | number | undefined };
}

/**
 * Bytes that a step takes by its plan, the model included; undefined where there is none. The parameters hold nothing
 * afterwards.
 */
export function plannedBytes({ microBatches = [], options, ...part }: PlannedPart): number | undefined {
  const { clip = 1, optimizer, checkpointing } = options;
  try {
    const { plans } = planTrainStep<string>({ ...part, microBatches, clip, optimizer, checkpointing });
    return planMemory(plans).bytes;
  } catch {
    // A plan beyond the device's limits has no size.
    return undefined;
  }
}
