import type { Plan } from '@lowrank/tensor/backend';
import type { RunCost } from './planRun.js';

/** A plan of a training step, and how often the step runs it. */
export interface PlanExecution {
  readonly plan: Plan;
  readonly times: number;
  /** Arguments of one of its batches; none of the optimizer's plan. */
  readonly inputs: RunCost['microBatches'][number]['inputs'] | undefined;
}

/** What a step runs: a plan for each shape of its batches, and with accumulation the optimizer's. */
export function executionsOf({ plans, microBatches }: Pick<RunCost, 'plans' | 'microBatches'>): PlanExecution[] {
  return plans.map((plan, at): PlanExecution => {
    // The last of several plans is the optimizer's; the others run as often as there are batches of their shape.
    const isUpdate = plans.length > 1 && at === plans.length - 1;
    const batches = isUpdate ? [] : microBatches.filter(({ inputs }) => fits(plan, inputs));
    return { plan, times: Math.max(1, batches.length), inputs: batches[0]?.inputs };
  });
}

function fits(plan: Plan, inputs: Readonly<Record<string, { readonly shape: readonly number[] }>>): boolean {
  return plan.inputs.every(({ name, shape }) => inputs[name]?.shape.join() === shape.join());
}
