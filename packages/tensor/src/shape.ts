import { LowrankError } from '@lowrank/errors';

/** Sizes of a tensor's axes, outermost first; [] is a scalar. Data is row-major and dense. */
export type Shape = readonly number[];

/** The elements of a shape; 1 for `[]`. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** A shape as errors write it: `[2, 3]`. */
export function showShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides: number[] = Array.from({ length: shape.length });
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] ?? 1;
  }
  return strides;
}

/** NumPy's rule: align at the last axis; sizes match or one of them is 1. */
export function broadcastShapes(shapes: readonly Shape[], op: string): Shape {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = Array.from({ length: rank }, () => 1);
  for (const shape of shapes) {
    shape.forEach((size, axis) => {
      const at = rank - shape.length + axis;
      const known = result[at] ?? 1;
      if (size !== 1 && known !== 1 && size !== known) {
        throw shapeError(
          op,
          'shapes that broadcast (equal sizes, or 1, aligned at the last axis)',
          shapes.map(showShape).join(' and '),
        );
      }
      if (known === 1) result[at] = size;
    });
  }
  return result;
}

/** Strides of `shape` when read as `target`: 0 along broadcast axes. `shape` must broadcast to `target`. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((_, axis) => (axis < shift || shape[axis - shift] === 1 ? 0 : (own[axis - shift] ?? 0)));
}

/**
 * An axis counted from the front.
 *
 * @throws LowrankError `tensor.shape` for one that the rank does not have
 */
export function normalizeAxis(axis: number, rank: number, op: string): number {
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw shapeError(op, `an axis between ${-rank} and ${rank - 1}`, `${axis}`);
  }
  return at;
}

/** The error of an op whose operands do not fit: `tensor.shape`. */
export function shapeError(op: string, expected: string, got: string, remedy?: string): LowrankError {
  return new LowrankError({ code: 'tensor.shape', what: op, expected, got, remedy });
}
