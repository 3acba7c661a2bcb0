import type { Shape, Tensor } from '@lowrank/tensor';
import { reshape, slice, where } from '@lowrank/tensor';
import { isFinite, segmentBlock } from '@lowrank/tensor/op';
import type { VectorUpdate } from './optimizer.js';

/**
 * A vector as the rows of its table, so that arithmetic between its elements, learning-rate factors and weight decays
 * is plain broadcasting, which the compiler fuses into a kernel for each value that is written.
 */
export interface Blocks {
  /** Learning-rate factor μ of each row, or of all. */
  readonly factor: Tensor | number;
  /** Weight decay λ of each row, or of all. */
  readonly decay: Tensor | number;
  /** A tensor of the vector's shape, as rows. */
  readonly rows: (x: Tensor) => Tensor;
  /** A result in the vector's own shape; what stood there before, where the clip factor is not finite. */
  readonly written: (result: Tensor, before: Tensor) => Tensor;
}

export function blocksOf({ parameters: { shape, size }, segments, table, clip }: VectorUpdate): Blocks {
  const [only, second] = segments;
  const finite = isFinite(clip);
  const written = (result: Tensor, before: Tensor): Tensor => where(finite, reshape(result, shape), before);
  // One parameter has one factor and one decay; its vector may be beyond one binding, and no multiple of 64 long. In
  // f32, as the table has them.
  if (only !== undefined && second === undefined) {
    const [factor, decay] = [only.learningRateFactor, only.weightDecay].map(Math.fround);
    return { factor: factor ?? 1, decay: decay ?? 0, rows: (x) => x, written };
  }
  const lines = size / segmentBlock;
  const column = (at: number): Tensor => slice(table, 1, at, at + 1);
  const rows: Shape = [lines, segmentBlock];
  return { factor: column(0), decay: column(1), rows: (x) => reshape(x, rows), written };
}
