import type { Init } from '../init.js';

/** PEFT's `true`: kaiming_uniform_(a=√5) over [r, in], which is U(±1/√in); B is 0. */
export const kaiming: Init = {
  draw({ rank, inFeatures, rng }) {
    const bound = 1 / Math.sqrt(inFeatures);
    return { a: () => Float32Array.from({ length: rank * inFeatures }, () => (2 * rng.uniform() - 1) * bound) };
  },
};
