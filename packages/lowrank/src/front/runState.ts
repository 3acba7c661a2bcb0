import type { MethodName } from '@lowrank/methods';
import type { TrainState } from '@lowrank/trainer';

/**
 * All that a run is between two steps: what a checkpoint holds, and what `fineTune` takes as `resume`. Plain data but
 * for the tensors, which are read when they are asked for; `holdState` keeps them in memory.
 */
export interface RunState extends TrainState {
  readonly method: MethodName;
  /** What the method found out when it began, such as EVA's ranks. */
  readonly form: unknown;
}
