import type { StartedEvent } from '@lowrank/trainer';

/** How many parameters are trained, and in which steps. */
export function describeStart({ trainedParameters, steps, from }: StartedEvent): string {
  if (from > 0 && from >= steps) return `all ${steps} steps were taken before: nothing is left to train`;
  const rest = steps - from === 1 ? `step ${steps}` : `steps ${from + 1} to ${steps}`;
  const left = from > 0 ? rest : `${steps} ${steps === 1 ? 'step' : 'steps'}`;
  return `training ${trainedParameters.toLocaleString('en')} parameters for ${left}`;
}
