import { aBoolean, anAxis, options, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Gradients } from '../op.js';
import type { Tensor } from '../graph.js';
import type { Shape } from '../shape.js';
import { normalizeAxis, shapeError, sizeOf } from '../shape.js';
import { broadcastTo, div, equal, mul } from './elementwise.js';
import { reshape } from './view.js';

export interface ReduceAttrs {
  readonly kind: 'sum' | 'max';
  /** The input read as [outer, length, inner]; `length` is reduced away. */
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  /** The output's shape, outer·inner elements. */
  readonly shape: Shape;
}

/**
 * y[o, i] = Σ_l x[o, l, i], or the maximum over l. A maximum's gradient is shared equally among the places that attain
 * it.
 */
export const reduce = defineOp<'reduce', ReduceAttrs>({
  name: 'reduce',
  infer([x], { outer, length, inner, shape }) {
    if (x === undefined || x.dtype !== 'f32' || sizeOf(x.shape) !== outer * length * inner) {
      throw shapeError('reduce', `f32 of ${outer}·${length}·${inner} elements`, JSON.stringify(x));
    }
    return [{ shape, dtype: 'f32' }];
  },
  vjp({ inputs: [x], outputs: [y], attrs, cotangents: [g] }): Gradients {
    if (x === undefined || y === undefined || g === undefined) return [];
    const { outer, length, inner } = attrs;
    const spread = (t: Tensor): Tensor => broadcastTo(reshape(t, [outer, 1, inner]), [outer, length, inner]);
    if (attrs.kind === 'sum') return [reshape(spread(g), x.shape)];
    const attained = equal(reshape(x, [outer, length, inner]), spread(y));
    const ties = apply(reduce, [attained], { ...attrs, kind: 'sum', shape: [outer, inner] });
    return [reshape(div(mul(attained, spread(g)), spread(ties)), x.shape)];
  },
  reference({ inputs: [x], outputs: [y], attrs: { kind, outer, length, inner } }) {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let result = kind === 'sum' ? 0 : -Infinity;
        for (let l = 0; l < length; l++) {
          const value = x[(o * length + l) * inner + i];
          result = kind === 'sum' ? result + value : Math.max(result, value);
        }
        y[o * inner + i] = result;
      }
    }
  },
  flops: ([x]) => (x === undefined ? 0 : sizeOf(x.shape)),
});

export interface ReduceOptions {
  /** Axes to reduce; all of them when absent. */
  axis?: number | readonly number[];
  keepDims?: boolean;
}

function reduceAxes(kind: 'sum' | 'max', x: Tensor, { axis, keepDims = false }: ReduceOptions): Tensor {
  const rank = x.shape.length;
  const given = axis === undefined ? x.shape.map((_, at) => at) : typeof axis === 'number' ? [axis] : axis;
  const dropped = new Set(given.map((at) => normalizeAxis(at, rank, kind)));
  const axes = [...dropped].sort((a, b) => a - b);
  let result = x;
  // Neighbouring axes go in one kernel; the last run first, so that earlier axes keep their places.
  while (axes.length > 0) {
    const end = (axes.pop() ?? 0) + 1;
    let start = end - 1;
    while (axes.at(-1) === start - 1) start = axes.pop() ?? 0;
    const shape = result.shape;
    const kept = [...shape.slice(0, start), ...shape.slice(start, end).map(() => 1), ...shape.slice(end)];
    const outer = sizeOf(shape.slice(0, start));
    const length = sizeOf(shape.slice(start, end));
    result = apply(reduce, [result], { kind, outer, length, inner: sizeOf(shape.slice(end)), shape: kept });
  }
  return keepDims
    ? result
    : reshape(
        result,
        x.shape.filter((_, at) => !dropped.has(at)),
      );
}

const reduceOptions = options({ axis: anAxis, keepDims: aBoolean });
const checkSum = signature('sum', { x: aTensor, options: reduceOptions });
const checkMax = signature('max', { x: aTensor, options: reduceOptions });
const checkMean = signature('mean', { x: aTensor, options: reduceOptions });

/** Σ x over the given axes, over all of them by default. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkSum(x, options);
  return reduceAxes('sum', x, options);
}

/** The largest of x over the given axes, over all of them by default. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkMax(x, options);
  return reduceAxes('max', x, options);
}

/** The mean of x over the given axes, over all of them by default. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkMean(x, options);
  const total = reduceAxes('sum', x, options);
  return mul(total, total.size / x.size);
}

/** Sums a tensor back to the shape it was broadcast from. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const shift = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size, at) => (at < shift || (shape[at - shift] === 1 && size !== 1) ? [at] : []));
  return axes.length === 0 ? x : reshape(sum(x, { axis: axes }), shape);
}
