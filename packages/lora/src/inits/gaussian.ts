import type { Init } from '../init.js';

/** A normal with standard deviation 1/r, B 0. */
export const gaussian: Init = {
  draw: ({ rank, inFeatures, rng }) => ({
    a: () => Float32Array.from({ length: rank * inFeatures }, () => rng.normal() / rank),
  }),
};
