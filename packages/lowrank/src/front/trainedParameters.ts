import type { AppliedMethod } from '@lowrank/methods';

/** Numbers that a method trains, each once. */
export function trainedParametersOf({ parameters }: AppliedMethod): number {
  return [...new Set(parameters.map(({ parameter }) => parameter))].reduce((sum, { tensor }) => sum + tensor.size, 0);
}
