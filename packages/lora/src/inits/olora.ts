import type { Init } from '../init.js';
import { orthonormalColumns } from '../numeric/orthonormal.js';

/**
 * OLoRA (Büyükakyüz 2024): with W = QR, B = Q[:, :r] and A = R[:r]. R's rows are Qᵀ·W, so that the first r columns of Q
 * are all that is needed. Signs are free: BA has none.
 */
export const olora: Init = {
  from(weight, { rank, inFeatures, outFeatures }) {
    const q = orthonormalColumns(weight, inFeatures, rank);
    const a = new Float64Array(rank * inFeatures);
    for (let row = 0; row < outFeatures; row++) {
      for (let k = 0; k < rank; k++) {
        const factor = q[row * rank + k];
        for (let i = 0; i < inFeatures; i++) a[k * inFeatures + i] += factor * weight[row * inFeatures + i];
      }
    }
    return { a: Float32Array.from(a), b: Float32Array.from(q) };
  },
};
