import type { Init } from '../init.js';

/** Beyond so many rows and columns the decomposition is by block Krylov iteration, in so many steps. */
const largestExact = 384;
const steps = 8;

/**
 * PiSSA (Meng et al. 2024): with W = U·diag(S)·Vᵀ, B = U[:, :r]·√(S/s) and A = √(S/s)·V[:, :r]ᵀ, s the factor on BA.
 *
 * @param iterations of the randomized decomposition; without them it is exact up to hundreds of rows or columns
 */
export function pissaIn(iterations?: number): Init {
  return {
    async from(weight, { rank, inFeatures, outFeatures, scaling, rng }) {
      const { truncatedSvd } = await import('../numeric/svd.js');
      const large = Math.min(inFeatures, outFeatures) > largestExact;
      const { u, s, v } = truncatedSvd(weight, {
        rows: outFeatures,
        columns: inFeatures,
        rank,
        iterations: iterations ?? (large ? steps : undefined),
        seed: Math.floor(rng.uniform() * 2 ** 32),
      });
      const roots = s.map((value) => Math.sqrt(value / scaling));
      const a = Float32Array.from(v, (value, at) => value * roots[Math.floor(at / inFeatures)]);
      const b = new Float32Array(outFeatures * rank);
      for (let k = 0; k < rank; k++)
        for (let row = 0; row < outFeatures; row++) b[row * rank + k] = u[k * outFeatures + row] * roots[k];
      return { a, b };
    },
  };
}

/** PEFT's `pissa`. */
export const pissa: Init = pissaIn();
