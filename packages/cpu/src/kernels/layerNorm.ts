import { sizeOf } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel } from '../kernel.js';
import { at } from '../kernel.js';
import { f32Bits } from '../recorder.js';

/** Rows and their width. A unit is a row, done by one thread. */
function rowsOf({ shape }: { readonly shape: readonly number[] }): { rows: number; width: number } {
  const width = shape.at(-1) ?? 1;
  return { rows: sizeOf(shape) / width, width };
}

export const layerNorm: CpuKernel<'layerNorm'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const { rows, width } = rowsOf(at(inputs, 0));
    const words = [
      at(inputs, 0).address,
      at(inputs, 1).address,
      at(inputs, 2).address,
      at(outputs, 0).address,
      width,
      f32Bits(attrs.epsilon),
    ];
    recorder.launch(KernelId.layerNorm, words, rows, 4 * width);
  },
};

export const layerNormBackward: CpuKernel<'layerNormBackward'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const { rows, width } = rowsOf(at(inputs, 0));
    const words = [
      at(inputs, 0).address,
      at(inputs, 1).address,
      at(inputs, 2).address,
      at(outputs, 0).address,
      width,
      f32Bits(attrs.epsilon),
    ];
    recorder.launch(KernelId.layerNormBackward, words, rows, 6 * width);
  },
};

/**
 * Rows that one unit of the weight gradient adds up; fixed, so that the sum does not depend on the number of threads.
 */
const rowsPerUnit = 64;

export const layerNormWeightGradient: CpuKernel<'layerNormWeightGradient'> = {
  workspaceBytes(inputs) {
    const { rows, width } = rowsOf(at(inputs, 0));
    return Math.ceil(rows / rowsPerUnit) * width * 8;
  },
  lower({ attrs, inputs, outputs, workspace, recorder }) {
    const [x, g] = [at(inputs, 0), at(inputs, 1)];
    const { rows, width } = rowsOf(x);
    const units = Math.ceil(rows / rowsPerUnit);
    recorder.launch(
      KernelId.layerNormWeightGradient,
      [x.address, g.address, rows, width, f32Bits(attrs.epsilon), workspace, rowsPerUnit],
      units,
      rowsPerUnit * width * 4,
    );
    recorder.launch(KernelId.sumPartials, [workspace, at(outputs, 0).address, units, width], width, units);
  },
};
