import { aNumber, optional, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Spec } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';
import { add } from './elementwise.js';

export interface RmsNormAttrs {
  readonly epsilon: number;
}

/**
 * y = x / √(mean(x²) + ε) · w over the last axis (Zhang & Sennrich 2019, as Llama uses it).
 * Nothing is kept for the backward pass: the row's factor is cheaper to compute again than to store.
 */
export const rmsNormOp = defineOp<'rmsNorm', RmsNormAttrs>({
  name: 'rmsNorm',
  infer(inputs) {
    requireRows('rmsNorm', inputs);
    return [{ shape: inputs[0]?.shape ?? [], dtype: 'f32' }];
  },
  vjp({ inputs: [x, w], attrs, cotangents: [g], needs: [needX, needW] }) {
    if (x === undefined || w === undefined || g === undefined) return [];
    return [
      needX === true ? apply(rmsNormBackward, [x, w, g], attrs) : undefined,
      needW === true ? apply(rmsNormWeightGradient, [x, g], attrs) : undefined,
    ];
  },
  reference({ inputs: [x, w], outputs: [y], attrs: { epsilon } }) {
    forEachRow(x, w.length, epsilon, (at, factor) => {
      for (let i = 0; i < w.length; i++) y[at + i] = x[at + i] * factor * w[i];
    });
  },
  asLeftOperand: ({ epsilon }) => ({ form: 'rmsNorm', epsilon }),
  halves: () => ({ inputs: [], outputs: [0] }),
  flops: ([x]) => 4 * sizeOf(x?.shape ?? []),
});

/** The attributes of `rmsNormBackward`. */
export interface RmsNormBackwardAttrs extends RmsNormAttrs {
  /** `+ c`, the last input. Put there by the compiler. */
  readonly addend?: boolean;
}

/** dx of rmsNorm from x, w and g: dx = f·(g·w − x·f²·mean(x·g·w)) (+ c) with f = 1/√(mean(x²) + ε). */
export const rmsNormBackward = defineOp<'rmsNormBackward', RmsNormBackwardAttrs>({
  name: 'rmsNormBackward',
  infer(inputs) {
    requireRows('rmsNormBackward', inputs);
    return [{ shape: inputs[0]?.shape ?? [], dtype: 'f32' }];
  },
  reference({ inputs: [x, w, g, c], outputs: [dx], attrs: { epsilon, addend } }) {
    forEachRow(x, w.length, epsilon, (at, factor) => {
      let dot = 0;
      for (let i = 0; i < w.length; i++) dot += x[at + i] * g[at + i] * w[i];
      const scale = (dot / w.length) * factor * factor;
      for (let i = 0; i < w.length; i++)
        dx[at + i] = factor * (g[at + i] * w[i] - x[at + i] * scale) + (addend === true ? c[at + i] : 0);
    });
  },
  inPlace: ({ addend }) =>
    addend === true
      ? [
          [3, 0],
          [2, 0],
        ]
      : [[2, 0]],
  halves: () => ({ inputs: [2], outputs: [] }),
  absorbAddend: (attrs) => (attrs.addend === true ? undefined : { ...attrs, addend: true }),
  flops: ([x]) => 9 * sizeOf(x?.shape ?? []),
});

/** dw of rmsNorm: Σ over rows of g·x·f. */
export const rmsNormWeightGradient = defineOp<'rmsNormWeightGradient', RmsNormAttrs>({
  name: 'rmsNormWeightGradient',
  infer([x]) {
    return [{ shape: x?.shape.slice(-1) ?? [], dtype: 'f32' }];
  },
  reference({ inputs: [x, g], outputs: [dw], attrs: { epsilon } }) {
    forEachRow(x, dw.length, epsilon, (at, factor) => {
      for (let i = 0; i < dw.length; i++) dw[i] += g[at + i] * x[at + i] * factor;
    });
  },
  flops: ([x]) => 5 * sizeOf(x?.shape ?? []),
});

function forEachRow(
  x: Float64Array,
  width: number,
  epsilon: number,
  visit: (start: number, factor: number) => void,
): void {
  for (let at = 0; at < x.length; at += width) {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += x[at + i] ** 2;
    visit(at, 1 / Math.sqrt(squares / width + epsilon));
  }
}

function requireRows(op: string, [x, w, g]: readonly Spec[]): void {
  const width = x?.shape.at(-1);
  if (
    x?.dtype === 'f32' &&
    w?.dtype === 'f32' &&
    w.shape.length === 1 &&
    w.shape[0] === width &&
    (g === undefined || sizeOf(g.shape) === sizeOf(x.shape))
  )
    return;
  throw shapeError(
    op,
    'f32 x […, D] and weight [D]',
    [x, w, g].map((spec) => `${spec?.dtype}${showShape(spec?.shape ?? [])}`).join(', '),
  );
}

const checkRmsNorm = signature('rmsNorm', {
  x: aTensor,
  weight: aTensor,
  epsilon: aNumber,
  weightOffset: optional(aNumber),
});

/**
 * x / √(mean(x²) + epsilon) · weight over the last axis; `weightOffset` 1 multiplies by (1 + weight), as Gemma does.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number, weightOffset = 0): Tensor {
  checkRmsNorm(x, weight, epsilon, weightOffset);
  return apply(rmsNormOp, [x, weightOffset === 0 ? weight : add(weight, weightOffset)], { epsilon });
}
