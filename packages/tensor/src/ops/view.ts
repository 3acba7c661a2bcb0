import { integers, signature } from '../arguments.js';
import { aTensor } from '../tensorKinds.js';
import { apply, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { describe } from '../graph.js';
import type { Shape } from '../shape.js';
import { shapeError, showShape, sizeOf } from '../shape.js';

export interface ViewAttrs {
  /** First element of the input that the view covers. */
  readonly offset: number;
  readonly shape: Shape;
}

/** A contiguous piece of the input's storage under another shape: nothing is computed or copied. */
export const view = defineOp<'view', ViewAttrs>({
  name: 'view',
  infer([x], { offset, shape }) {
    if (x === undefined || offset < 0 || offset + sizeOf(shape) > sizeOf(x.shape)) {
      throw shapeError(
        'view',
        `elements within ${showShape(x?.shape ?? [])}`,
        `${showShape(shape)} from element ${offset}`,
      );
    }
    return [{ shape, dtype: x.dtype }];
  },
  vjp({ inputs: [x], attrs: { offset }, cotangents: [g] }) {
    if (x === undefined || g === undefined) return [];
    if (g.size === x.size) return [reshape(g, x.shape)];
    return [reshape(packAt([g], [offset], x.size), x.shape)];
  },
  reference({ inputs: [x], outputs: [y], attrs: { offset } }) {
    y.set(x.subarray(offset, offset + y.length));
  },
  alias: ({ offset }) => offset,
});

const checkReshape = signature('reshape', { x: aTensor, shape: integers });

/** The same elements under another shape; one size may be -1 and is then inferred. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  checkReshape(x, shape);
  const known = sizeOf(shape.filter((size) => size !== -1));
  const dims = shape.map((size) => (size === -1 ? x.size / known : size));
  if (sizeOf(dims) !== x.size || dims.some((size) => !Number.isInteger(size))) {
    throw shapeError(
      `reshape of ${describe(x)}`,
      `a shape of ${x.size} elements, as ${showShape(x.shape)}`,
      showShape(shape),
    );
  }
  return apply(view, [x], { offset: 0, shape: dims });
}

/**
 * Views of a persistent tensor that own it together: it is freed when the last of them is disposed. So whoever was
 * handed one of them frees what it holds, and knows nothing of the others.
 */
export function owningViews(owned: Tensor, places: readonly ViewAttrs[]): Tensor[] {
  let alive = places.length;
  return places.map(({ offset, shape }) =>
    viewAt(owned, offset, shape).releasing(() => {
      alive--;
      if (alive === 0) owned.dispose();
    }),
  );
}

/** Elements offset … offset + size(shape) of x's storage, as a tensor of `shape`. */
export function viewAt(x: Tensor, offset: number, shape: Shape): Tensor {
  return apply(view, [x], { offset, shape });
}

/** Rows start … end of the first axis, without a copy. */
export function rows(x: Tensor, start: number, end: number): Tensor {
  const row = sizeOf(x.shape.slice(1));
  return viewAt(x, start * row, [end - start, ...x.shape.slice(1)]);
}

export interface PackAttrs {
  /** Where each input starts in the flat result, in elements. */
  readonly offsets: readonly number[];
  /** Elements of the result; what no input covers is zero. */
  readonly size: number;
}

/**
 * Lays tensors into one flat f32 vector: the gradients of all parameters for one AdamW launch, the chunks of a result.
 * The compiler lets each input's kernel write straight into its place, so that no kernel of its own runs.
 */
export const pack = defineOp<'pack', PackAttrs>({
  name: 'pack',
  infer(inputs, { offsets, size }) {
    let end = 0;
    inputs.forEach((input, at) => {
      const start = offsets[at] ?? -1;
      if (start < end || input.dtype !== 'f32')
        throw shapeError('pack', `f32 inputs in order from element ${end}`, `${input.dtype} at ${start}`);
      end = start + sizeOf(input.shape);
    });
    if (end > size) throw shapeError('pack', `at most ${size} elements`, `${end}`);
    return [{ shape: [size], dtype: 'f32' }];
  },
  vjp({ inputs, attrs: { offsets }, cotangents: [g] }) {
    if (g === undefined) return [];
    return inputs.map((input, at) => viewAt(g, offsets[at], input.shape));
  },
  reference({ inputs, outputs: [out], attrs: { offsets } }) {
    inputs.forEach((input, at) => out.set(input, offsets[at]));
  },
});

/**
 * A packed vector from end to end: its inputs, by index, and the gaps between them, each with its length in elements.
 * `sizes` are the inputs' elements.
 */
export function packPieces(
  { offsets, size }: PackAttrs,
  sizes: readonly number[],
): { readonly input: number | undefined; readonly length: number }[] {
  const pieces: { input: number | undefined; length: number }[] = [];
  let end = 0;
  sizes.forEach((length, input) => {
    const start = offsets[input];
    pieces.push({ input: undefined, length: start - end }, { input, length });
    end = start + length;
  });
  pieces.push({ input: undefined, length: size - end });
  return pieces.filter(({ length }) => length > 0);
}

/** The inputs, flattened, at the given element offsets of a vector of `size` elements. */
export function packAt(inputs: readonly Tensor[], offsets: readonly number[], size: number): Tensor {
  return apply(pack, inputs, { offsets, size });
}

/** Tensors stacked along their first axis, without a kernel of its own. */
export function stackRows(inputs: readonly Tensor[]): Tensor {
  const offsets: number[] = [];
  let size = 0;
  for (const input of inputs) {
    offsets.push(size);
    size += input.size;
  }
  const count = inputs.reduce((total, input) => total + (input.shape[0] ?? 1), 0);
  return reshape(packAt(inputs, offsets, size), [count, ...(inputs[0]?.shape.slice(1) ?? [])]);
}
