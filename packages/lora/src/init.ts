import type { Rng } from '@lowrank/tensor';

export interface InitSizes {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** The factor on BA. */
  readonly scaling: number;
  readonly rng: Rng;
}

export interface InitMatrices {
  /** [r, in] */
  readonly a: Float32Array;
  /** [out, r] */
  readonly b: Float32Array;
}

/**
 * How A and B begin: an object in a file of its name under inits/. One with `draw` needs no
 * weight, and BA is 0; one with `from` makes A and B out of W [out, in], with what decompositions it loads.
 */
export type Init =
  | { readonly draw: (sizes: InitSizes) => { readonly a: () => Float32Array; readonly b?: () => Float32Array } }
  | {
      readonly from: (weight: Float32Array, sizes: InitSizes) => InitMatrices | Promise<InitMatrices>;
      /** BA is 0, so there is nothing to subtract from the base. */
      readonly keepsBase?: true;
      /** The half that is not trained. */
      readonly frozen?: 'a' | 'b';
    };
