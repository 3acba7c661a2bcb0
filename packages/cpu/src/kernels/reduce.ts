import { sizeOf } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel } from '../kernel.js';
import { at } from '../kernel.js';

/**
 * Elements whose sum one unit makes when a long vector is added up; fixed, so that results do not depend on the number
 * of threads.
 */
const perUnit = 16384;
const columnBlock = 64;

/** All sums are f64 within, so that their error is one rounding to f32. */
export const reduce: CpuKernel<'reduce'> = {
  workspaceBytes(_, __, attrs) {
    return splits(attrs) ? 8 * Math.ceil(attrs.length / perUnit) : 0;
  },
  lower({ attrs, inputs, outputs, workspace, recorder }) {
    const { kind, outer, length, inner } = attrs;
    const [x, y] = [at(inputs, 0), at(outputs, 0)];
    if (splits(attrs)) {
      const units = Math.ceil(length / perUnit);
      recorder.launch(KernelId.partialSums, [x.address, workspace, length, perUnit, 0], units, perUnit);
      recorder.launch(KernelId.sumPartials, [workspace, y.address, units, 1], 1, units);
    } else if (inner === 1) {
      recorder.launch(
        kind === 'sum' ? KernelId.sumRows : KernelId.maxRows,
        [x.address, y.address, length],
        outer,
        length,
      );
    } else {
      const blocks = Math.ceil(inner / columnBlock);
      recorder.launch(
        KernelId.reduceColumns,
        [x.address, y.address, length, inner, kind === 'sum' ? 0 : 1, blocks],
        outer * blocks,
        2 * length * columnBlock,
      );
    }
  },
};

function splits({
  kind,
  outer,
  length,
  inner,
}: {
  kind: string;
  outer: number;
  length: number;
  inner: number;
}): boolean {
  return kind === 'sum' && outer === 1 && inner === 1 && length > 2 * perUnit;
}

/** Σ x², in f64 within: a f32 gradient cannot overflow it before the result itself does. */
export const squaredNorm: CpuKernel<'squaredNorm'> = {
  workspaceBytes(inputs) {
    return 8 * Math.ceil(sizeOf(at(inputs, 0).shape) / perUnit);
  },
  lower({ inputs, outputs, workspace, recorder }) {
    const x = at(inputs, 0);
    const elements = sizeOf(x.shape);
    const units = Math.ceil(elements / perUnit);
    recorder.launch(KernelId.partialSums, [x.address, workspace, elements, perUnit, 1], units, perUnit);
    recorder.launch(KernelId.sumPartials, [workspace, at(outputs, 0).address, units, 1], 1, units);
  },
};
