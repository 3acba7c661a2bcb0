import { LowrankError } from '@lowrank/errors';
import { Rng } from '@lowrank/tensor';
import type { Init } from '../init.js';
import { orthonormalColumns } from '../numeric/orthonormal.js';

/**
 * A and B both begin with numbers, and BA is 0 all the same: of a random orthogonal Q [r, r] A takes every second row
 * and B the rows between, A = Q₀ᵀ·N/10 and B = Nᵀ·Q₁/10, N normal (PEFT's `orthogonal_init`, after datta0's "Rethinking
 * LoRA initialisation"). The rank must be even.
 */
export const orthogonal: Init = {
  draw({ rank, inFeatures, outFeatures, rng }) {
    if (rank % 2 !== 0)
      throw new LowrankError({
        code: 'lora.config',
        what: 'init_lora_weights orthogonal',
        expected: 'an even rank',
        got: String(rank),
      });
    const normal = (size: number, from = rng): Float64Array => Float64Array.from({ length: size }, () => from.normal());
    const q = orthonormalColumns(normal(rank * rank), rank, rank);
    // Streams of their own, since A and B are drawn when they are needed, in either order.
    const streams = [
      new Rng(rng.seed, Math.floor(rng.uniform() * 2 ** 24)),
      new Rng(rng.seed, Math.floor(rng.uniform() * 2 ** 24)),
    ];
    const half = rank / 2;
    /** Σ over pairs of q[2k + odd, r]·noise[k, i], put at place(r, i). */
    const product = (odd: number, length: number, place: (r: number, i: number) => number): Float32Array => {
      const noise = normal(half * length, streams[odd]);
      const result = new Float32Array(rank * length);
      for (let r = 0; r < rank; r++) {
        for (let i = 0; i < length; i++) {
          let total = 0;
          for (let k = 0; k < half; k++) total += q[(2 * k + odd) * rank + r] * noise[k * length + i];
          result[place(r, i)] = total / 10;
        }
      }
      return result;
    };
    return {
      a: () => product(0, inFeatures, (r, i) => r * inFeatures + i),
      b: () => product(1, outFeatures, (r, i) => i * rank + r),
    };
  },
};
