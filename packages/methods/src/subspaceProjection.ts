import type { Tensor } from '@lowrank/tensor';

/** Where a weight lies among all weights of a subspace, laid end to end. */
export interface WeightPlace {
  /** Counts the weights. */
  readonly index: number;
  /** Elements of the weights before it. */
  readonly offset: number;
  /** Its own elements. */
  readonly size: number;
}

export interface ProjectionOptions {
  /** d, the length of z. */
  readonly dimension: number;
  readonly seed: number;
}

/**
 * The rows of a fixed random P [D, d] that belong to one weight, as a function z [d] → Δθ [size]. A row has the
 * expected squared norm 1, so that each weight moves as far as the coordinates do. Tables are made from seed and
 * position when they are first needed; P itself never exists.
 */
export type ProjectedWeight = (z: Tensor) => Tensor;

export interface SubspaceProjection {
  rowsOf(place: WeightPlace): ProjectedWeight;
  /** Frees the tables. */
  dispose(): void;
}
