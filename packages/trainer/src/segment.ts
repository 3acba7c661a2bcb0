import type { Shape } from '@lowrank/tensor';

/** Where a parameter lies within its flat vector. */
export interface Segment {
  readonly name: string;
  /** First element, a multiple of 64 (of 256 where moments have 8 bits). */
  readonly offset: number;
  readonly shape: Shape;
  readonly learningRateFactor: number;
  readonly weightDecay: number;
}
