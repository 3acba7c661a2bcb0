import type { Parameter } from '@lowrank/nn';

/** A trained matrix with its name, as the trainer takes it. */
export interface NamedParameter {
  readonly name: string;
  readonly parameter: Parameter;
}
