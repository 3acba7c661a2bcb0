import { aNumber, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Spec } from '../op.js';
import type { Tensor } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';
import { sumTo } from './reduce.js';

export interface LayerNormAttrs {
  readonly epsilon: number;
}

/**
 * y = (x − μ)·f·w + b over the last axis, with μ = mean(x) and f = 1/√(mean((x − μ)²) + ε) (Ba et al. 2016).
 * Nothing is kept for the backward pass: μ and f are cheaper to compute again than to store.
 */
export const layerNormOp = defineOp<'layerNorm', LayerNormAttrs>({
  name: 'layerNorm',
  infer(inputs) {
    const [x, w, b] = inputs;
    requireRows('layerNorm', inputs, [w, b]);
    return [{ shape: x?.shape ?? [], dtype: 'f32' }];
  },
  vjp({ inputs: [x, w, b], attrs, cotangents: [g], needs: [needX, needW, needB] }) {
    if (x === undefined || w === undefined || b === undefined || g === undefined) return [];
    return [
      needX === true ? apply(layerNormBackward, [x, w, g], attrs) : undefined,
      needW === true ? apply(layerNormWeightGradient, [x, g], attrs) : undefined,
      needB === true ? sumTo(g, b.shape) : undefined,
    ];
  },
  reference({ inputs: [x, w, b], outputs: [y], attrs: { epsilon } }) {
    forEachRow(x, w.length, epsilon, (at, { mean, factor }) => {
      for (let i = 0; i < w.length; i++) y[at + i] = (x[at + i] - mean) * factor * w[i] + b[i];
    });
  },
  flops: ([x]) => 7 * sizeOf(x?.shape ?? []),
});

/** dx of layerNorm from x, w and g: dx = f·(g·w − mean(g·w) − x̂·mean(g·w·x̂)) with x̂ = (x − μ)·f. */
export const layerNormBackward = defineOp<'layerNormBackward', LayerNormAttrs>({
  name: 'layerNormBackward',
  infer(inputs) {
    const [x, w, g] = inputs;
    requireRows('layerNormBackward', inputs, [w]);
    if (sizeOf(g?.shape ?? []) !== sizeOf(x?.shape ?? []))
      throw shapeError('layerNormBackward', 'a gradient of the size of x', showShape(g?.shape ?? []));
    return [{ shape: x?.shape ?? [], dtype: 'f32' }];
  },
  reference({ inputs: [x, w, g], outputs: [dx], attrs: { epsilon } }) {
    const width = w.length;
    forEachRow(x, width, epsilon, (at, { mean, factor }) => {
      const upstream = (i: number): number => g[at + i] * w[i];
      const centered = (i: number): number => x[at + i] - mean;
      let [total, dot] = [0, 0];
      for (let i = 0; i < width; i++) {
        total += upstream(i);
        dot += upstream(i) * centered(i);
      }
      const scale = (dot / width) * factor * factor;
      for (let i = 0; i < width; i++) dx[at + i] = factor * (upstream(i) - total / width - centered(i) * scale);
    });
  },
  inPlace: [[2, 0]],
  flops: ([x]) => 13 * sizeOf(x?.shape ?? []),
});

/** dw of layerNorm: Σ over rows of g·(x − μ)·f. */
export const layerNormWeightGradient = defineOp<'layerNormWeightGradient', LayerNormAttrs>({
  name: 'layerNormWeightGradient',
  infer([x]) {
    return [{ shape: x?.shape.slice(-1) ?? [], dtype: 'f32' }];
  },
  reference({ inputs: [x, g], outputs: [dw], attrs: { epsilon } }) {
    forEachRow(x, dw.length, epsilon, (at, { mean, factor }) => {
      for (let i = 0; i < dw.length; i++) dw[i] += g[at + i] * (x[at + i] - mean) * factor;
    });
  },
  flops: ([x]) => 8 * sizeOf(x?.shape ?? []),
});

function forEachRow(
  x: Float64Array,
  width: number,
  epsilon: number,
  visit: (start: number, row: { mean: number; factor: number }) => void,
): void {
  for (let at = 0; at < x.length; at += width) {
    let [total, squares] = [0, 0];
    for (let i = 0; i < width; i++) total += x[at + i];
    const mean = total / width;
    for (let i = 0; i < width; i++) squares += (x[at + i] - mean) ** 2;
    visit(at, { mean, factor: 1 / Math.sqrt(squares / width + epsilon) });
  }
}

function requireRows(op: string, inputs: readonly Spec[], vectors: readonly (Spec | undefined)[]): void {
  const width = inputs[0]?.shape.at(-1);
  if (
    width !== undefined &&
    inputs.every(({ dtype }) => dtype === 'f32') &&
    vectors.every((vector) => vector?.shape.length === 1 && vector.shape[0] === width)
  )
    return;
  throw shapeError(
    op,
    'f32 x […, D] and vectors [D]',
    inputs.map(({ dtype, shape }) => `${dtype}${showShape(shape)}`).join(', '),
  );
}

const checkLayerNorm = signature('layerNorm', { x: aTensor, weight: aTensor, bias: aTensor, epsilon: aNumber });

/** (x − μ) / √(mean((x − μ)²) + epsilon) · weight + bias over the last axis, as torch.nn.LayerNorm. */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  checkLayerNorm(x, weight, bias, epsilon);
  return apply(layerNormOp, [x, weight, bias], { epsilon });
}
