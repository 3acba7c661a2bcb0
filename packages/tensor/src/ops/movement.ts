import { anInteger, integers, listOf, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Gradients } from '../op.js';
import type { Tensor } from '../graph.js';
import type { Shape } from '../shape.js';
import { normalizeAxis, shapeError, showShape, sizeOf, stridesOf } from '../shape.js';

/** Ops that move f32 elements to other places. Slice and pad are each other's gradient, as are concat and slice. */

export interface PermuteAttrs {
  /** Axis i of the output is axis axes[i] of the input. */
  readonly axes: readonly number[];
}

export const permuteOp = defineOp<'permute', PermuteAttrs>({
  name: 'permute',
  infer([x], { axes }) {
    if (
      x === undefined ||
      x.dtype !== 'f32' ||
      [...axes].sort((a, b) => a - b).join() !== x.shape.map((_, at) => at).join()
    ) {
      throw shapeError('permute', `an order of the axes of an f32 ${showShape(x?.shape ?? [])}`, showShape(axes));
    }
    return [{ shape: axes.map((axis) => x.shape[axis]), dtype: 'f32' }];
  },
  vjp({ attrs: { axes }, cotangents: [g] }): Gradients {
    if (g === undefined) return [];
    return [
      permute(
        g,
        axes.map((_, at) => axes.indexOf(at)),
      ),
    ];
  },
  reference({ inputs: [x], inputSpecs: [from], outputs: [y], outputSpecs: [to], attrs: { axes } }) {
    const strides = stridesOf(from.shape);
    scatter(
      to.shape,
      axes.map((axis) => strides[axis]),
      0,
      (out, at) => {
        y[out] = x[at];
      },
    );
  },
});

export interface SliceAttrs {
  readonly starts: readonly number[];
  readonly sizes: readonly number[];
}

export const sliceOp = defineOp<'slice', SliceAttrs>({
  name: 'slice',
  infer([x], { starts, sizes }) {
    if (
      x === undefined ||
      x.dtype !== 'f32' ||
      sizes.some((size, axis) => size < 1 || (starts[axis] ?? -1) < 0 || (starts[axis] ?? 0) + size > x.shape[axis])
    ) {
      throw shapeError(
        'slice',
        `a block within an f32 ${showShape(x?.shape ?? [])}`,
        `${showShape(sizes)} from ${showShape(starts)}`,
      );
    }
    return [{ shape: sizes, dtype: 'f32' }];
  },
  vjp({ inputs: [x], attrs: { starts, sizes }, cotangents: [g] }): Gradients {
    if (x === undefined || g === undefined) return [];
    return [
      apply(padOp, [g], {
        before: starts,
        after: x.shape.map((size, axis) => size - (starts[axis] ?? 0) - sizes[axis]),
      }),
    ];
  },
  reference({ inputs: [x], inputSpecs: [from], outputs: [y], attrs: { starts, sizes } }) {
    const strides = stridesOf(from.shape);
    const start = starts.reduce((at, value, axis) => at + value * strides[axis], 0);
    scatter(sizes, strides, start, (out, at) => {
      y[out] = x[at];
    });
  },
});

export interface PadAttrs {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Zeros around a tensor. */
export const padOp = defineOp<'pad', PadAttrs>({
  name: 'pad',
  infer([x], { before, after }) {
    if (x === undefined || x.dtype !== 'f32' || [...before, ...after].some((size) => size < 0))
      throw shapeError('pad', 'f32 and sizes of at least 0', `${showShape(before)}, ${showShape(after)}`);
    return [{ shape: x.shape.map((size, axis) => size + (before[axis] ?? 0) + (after[axis] ?? 0)), dtype: 'f32' }];
  },
  vjp({ inputs: [x], attrs: { before }, cotangents: [g] }): Gradients {
    return x === undefined || g === undefined ? [] : [apply(sliceOp, [g], { starts: before, sizes: x.shape })];
  },
  reference({ inputs: [x], inputSpecs: [from], outputs: [y], outputSpecs: [to], attrs: { before } }) {
    const strides = stridesOf(to.shape);
    const start = before.reduce((at, value, axis) => at + value * strides[axis], 0);
    scatter(from.shape, strides, start, (at, out) => {
      y[out] = x[at];
    });
  },
});

export interface ConcatAttrs {
  readonly axis: number;
}

export const concatOp = defineOp<'concat', ConcatAttrs>({
  name: 'concat',
  infer(inputs, { axis }) {
    const [first] = inputs;
    const rest = (shape: Shape): string => shape.filter((_, at) => at !== axis).join();
    if (
      first === undefined ||
      inputs.some(
        ({ shape, dtype }) =>
          dtype !== 'f32' || shape.length !== first.shape.length || rest(shape) !== rest(first.shape),
      )
    ) {
      throw shapeError(
        'concat',
        `f32 tensors equal but for axis ${axis}`,
        inputs.map(({ shape }) => showShape(shape)).join(', '),
      );
    }
    return [
      {
        shape: first.shape.map((size, at) =>
          at === axis ? inputs.reduce((total, { shape }) => total + shape[axis], 0) : size,
        ),
        dtype: 'f32',
      },
    ];
  },
  vjp({ inputs, attrs: { axis }, cotangents: [g] }): Gradients {
    if (g === undefined) return [];
    let start = 0;
    return inputs.map(({ shape }) => {
      const piece = apply(sliceOp, [g], { starts: shape.map((_, at) => (at === axis ? start : 0)), sizes: shape });
      start += shape[axis];
      return piece;
    });
  },
  reference({ inputs, inputSpecs, outputs: [y], outputSpecs: [to], attrs: { axis } }) {
    const strides = stridesOf(to.shape);
    let start = 0;
    inputs.forEach((x, which) => {
      const shape = inputSpecs[which].shape;
      scatter(shape, strides, start * strides[axis], (at, out) => {
        y[out] = x[at];
      });
      start += shape[axis];
    });
  },
});

/** Visits a dense block of `shape` in order, with the place of each element in strided storage. */
function scatter(
  shape: Shape,
  strides: readonly number[],
  start: number,
  visit: (dense: number, strided: number) => void,
): void {
  const dense = stridesOf(shape);
  for (let i = 0; i < sizeOf(shape); i++) {
    visit(
      i,
      dense.reduce((at, stride, axis) => at + (Math.floor(i / stride) % (shape[axis] ?? 1)) * strides[axis], start),
    );
  }
}

const checkPermute = signature('permute', { x: aTensor, axes: integers });
const checkTranspose = signature('transpose', { x: aTensor });
const checkSlice = signature('slice', { x: aTensor, axis: anInteger, start: anInteger, end: anInteger });
const checkConcat = signature('concat', { inputs: listOf(aTensor), axis: anInteger });
const checkPad = signature('pad', { x: aTensor, before: integers, after: integers });

/** Axes in another order: permute(x, [1, 0]) is the transpose of a matrix. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  checkPermute(x, axes);
  return apply(permuteOp, [x], { axes });
}

/** The last two axes exchanged. */
export function transpose(x: Tensor): Tensor {
  checkTranspose(x);
  const order = x.shape.map((_, at) => at);
  return permute(x, [...order.slice(0, -2), ...order.slice(-2).reverse()]);
}

/** Elements start … end along one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  checkSlice(x, axis, start, end);
  const at = normalizeAxis(axis, x.shape.length, 'slice');
  return apply(sliceOp, [x], {
    starts: x.shape.map((_, i) => (i === at ? start : 0)),
    sizes: x.shape.map((size, i) => (i === at ? end - start : size)),
  });
}

/** Tensors one behind the other along an axis. */
export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  checkConcat(inputs, axis);
  return apply(concatOp, inputs, { axis: normalizeAxis(axis, inputs[0]?.shape.length ?? 0, 'concat') });
}

/** Zeros before and after, per axis. */
export function pad(x: Tensor, before: readonly number[], after: readonly number[]): Tensor {
  checkPad(x, before, after);
  return apply(padOp, [x], { before, after });
}
