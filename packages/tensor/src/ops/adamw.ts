import { applyAll, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { Scalar } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

/** Elements that share a line of the segment table: 256 bytes, the strictest alignment of a buffer slice. */
export const segmentBlock = 64;

export interface AdamwAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/**
 * One AdamW step (Loshchilov & Hutter 2019; the arithmetic of torch.optim.AdamW) over flat f32 vectors of n elements.
 * With ĝ = clip·g and, from the table's line for the element's block, a learning-rate multiplier μ and a weight decay
 * λ: p ← p·(1 − lr·μ·λ);  m ← β₁m + (1−β₁)ĝ;  v ← β₂v + (1−β₂)ĝ²;  p ← p − stepSize·μ·m / (√v·biasScale + ε) Inputs: p,
 * g, m, v [n], table [⌈n/64⌉, 2] of (μ, λ), then 0-d: lr; stepSize = lr/(1−β₁ᵗ); biasScale = 1/√(1−β₂ᵗ) (the host makes
 * them in double precision: in f32 the first steps would be off by 1e-4); clip. Where clip is NaN or infinite nothing
 * is written: a step with a non-finite gradient leaves parameters and state as they were. Outputs: p, m, v, in place.
 */
export const adamwOp = defineOp<'adamw', AdamwAttrs>({
  name: 'adamw',
  infer(inputs) {
    const [p, g, m, v, table, ...numbers] = inputs;
    const size = sizeOf(p?.shape ?? []);
    const flat = [p, g, m, v].every((spec) => spec?.dtype === 'f32' && sizeOf(spec.shape) === size);
    if (
      !flat ||
      sizeOf(table?.shape ?? []) !== 2 * Math.ceil(size / segmentBlock) ||
      numbers.length !== 4 ||
      numbers.some((spec) => sizeOf(spec.shape) !== 1)
    ) {
      throw shapeError(
        'adamw',
        `p, g, m, v of ${size} elements, a table [${Math.ceil(size / segmentBlock)}, 2] and four numbers`,
        inputs.map(({ shape }) => showShape(shape)).join(', '),
      );
    }
    return [p, m, v].map((spec) => ({ shape: spec?.shape ?? [], dtype: 'f32' as const }));
  },
  reference({ inputs, outputs, attrs: { beta1, beta2, epsilon } }) {
    const [p, g, m, v, table, lr, stepSize, biasScale, clip] = inputs;
    const [newP, newM, newV] = outputs;
    newP.set(p);
    newM.set(m);
    newV.set(v);
    const factor = clip[0];
    if (!Number.isFinite(factor)) return;
    for (let i = 0; i < p.length; i++) {
      const line = 2 * Math.floor(i / segmentBlock);
      const [multiplier, decay] = [table[line], table[line + 1]];
      const gradient = factor * g[i];
      const first = beta1 * m[i] + (1 - beta1) * gradient;
      const second = beta2 * v[i] + (1 - beta2) * gradient * gradient;
      newM[i] = first;
      newV[i] = second;
      newP[i] =
        p[i] * (1 - lr[0] * multiplier * decay) -
        (stepSize[0] * multiplier * first) / (Math.sqrt(second) * biasScale[0] + epsilon);
    }
  },
  inPlace: [
    [0, 0],
    [2, 1],
    [3, 2],
  ],
  inPlaceOnly: true,
  flops: ([p]) => 14 * sizeOf(p?.shape ?? []),
});

export interface AdamwState {
  parameters: Tensor;
  gradient: Tensor;
  firstMoment: Tensor;
  secondMoment: Tensor;
  /** [⌈n/64⌉, 2]: learning-rate multiplier and weight decay of each block of 64 elements. */
  table: Tensor;
}

export interface AdamwNumbers {
  learningRate: Tensor | Scalar;
  stepSize: Tensor | Scalar;
  biasScale: Tensor | Scalar;
  clip: Tensor | Scalar;
}

/** The updated [parameters, firstMoment, secondMoment]; see {@link adamwOp}. */
export function adamw(state: AdamwState, numbers: AdamwNumbers, attrs: AdamwAttrs): Tensor[] {
  const { parameters, gradient, firstMoment, secondMoment, table } = state;
  const { learningRate, stepSize, biasScale, clip } = numbers;
  const operands = [learningRate, stepSize, biasScale, clip].map((value) =>
    value instanceof Scalar ? value.tensor : value,
  );
  return applyAll(adamwOp, [parameters, gradient, firstMoment, secondMoment, table, ...operands], attrs);
}
