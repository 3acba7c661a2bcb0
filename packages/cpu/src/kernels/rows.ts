import { sizeOf } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel, Place } from '../kernel.js';
import { at, encodingOf } from '../kernel.js';
import { f32Bits } from '../recorder.js';

/** Kernels that work row by row: a unit is a row (a token, an id), done by one thread. */

const widthOf = ({ shape }: { shape: readonly number[] }): number => shape.at(-1) ?? 1;
const elementsOf = (place: Place): number => sizeOf(place.shape);

export const rmsNorm: CpuKernel<'rmsNorm'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [x, w] = [at(inputs, 0), at(inputs, 1)];
    const width = widthOf(x);
    recorder.launch(
      KernelId.rmsNorm,
      [x.address, w.address, at(outputs, 0).address, width, f32Bits(attrs.epsilon)],
      elementsOf(x) / width,
      2 * width,
    );
  },
};

export const rmsNormBackward: CpuKernel<'rmsNormBackward'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [x, w, g] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
    const width = widthOf(x);
    const words = [x.address, w.address, g.address, at(outputs, 0).address, width, f32Bits(attrs.epsilon)];
    recorder.launch(KernelId.rmsNormBackward, words, elementsOf(x) / width, 4 * width);
  },
};

/**
 * Rows that one unit of the weight gradient adds up; fixed, so that the sum does not depend on the number of threads.
 */
const rowsPerUnit = 64;

export const rmsNormWeightGradient: CpuKernel<'rmsNormWeightGradient'> = {
  workspaceBytes(inputs) {
    const { shape } = at(inputs, 0);
    const width = widthOf({ shape });
    const rows = sizeOf(shape) / width;
    return Math.ceil(rows / rowsPerUnit) * width * 8;
  },
  lower({ attrs, inputs, outputs, workspace, recorder }) {
    const [x, g] = [at(inputs, 0), at(inputs, 1)];
    const width = widthOf(x);
    const rows = elementsOf(x) / width;
    const units = Math.ceil(rows / rowsPerUnit);
    recorder.launch(
      KernelId.rmsNormWeightGradient,
      [x.address, g.address, rows, width, f32Bits(attrs.epsilon), workspace, rowsPerUnit],
      units,
      rowsPerUnit * width * 3,
    );
    recorder.launch(KernelId.sumPartials, [workspace, at(outputs, 0).address, units, width], width, units);
  },
};

export const rope: CpuKernel<'rope'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [x, cosine, sine, positions] = [at(inputs, 0), at(inputs, 1), at(inputs, 2), at(inputs, 3)];
    const [batch = 1, length = 1, heads = 1, size = 1] = x.shape;
    const words = [
      x.address,
      cosine.address,
      sine.address,
      positions.address,
      at(outputs, 0).address,
      heads,
      size,
      widthOf(cosine),
      Number(attrs.inverse),
    ];
    recorder.launch(KernelId.rope, words, batch * length, heads * size);
  },
};

export const crossEntropyRows: CpuKernel<'crossEntropyRows'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [logits, labels] = [at(inputs, 0), at(inputs, 1)];
    const [rows = 0, width = 0] = logits.shape;
    const words = [
      logits.address,
      labels.address,
      at(outputs, 0).address,
      attrs.gradient ? at(outputs, 1).address : 0,
      width,
      f32Bits(attrs.labelSmoothing ?? 0),
      f32Bits(attrs.zLoss ?? 0),
    ];
    recorder.launch(KernelId.crossEntropyRows, words, rows, 8 * width);
  },
};

export const argmax: CpuKernel<'argmax'> = {
  lower({ inputs, outputs, recorder }) {
    const x = at(inputs, 0);
    const width = widthOf(x);
    recorder.launch(KernelId.argmax, [x.address, at(outputs, 0).address, width], elementsOf(x) / width, width);
  },
};

export const sampleThreshold: CpuKernel<'sampleThreshold'> = {
  workspaceBytes: ([x]) => 8 * sizeOf(x?.shape ?? []),
  lower({ inputs, outputs, workspace, recorder }) {
    const x = at(inputs, 0);
    const width = widthOf(x);
    const numbers = [1, 2, 3, 4].map((index) => at(inputs, index).address);
    recorder.launch(
      KernelId.sampleThreshold,
      [x.address, ...numbers, at(outputs, 0).address, width, workspace],
      elementsOf(x) / width,
      8 * width,
    );
  },
};

export const gatherRows: CpuKernel<'gatherRows'> = {
  lower({ inputs, outputs, recorder }) {
    const [table, ids] = [at(inputs, 0), at(inputs, 1)];
    const [rows = 0, width = 0] = table.shape;
    recorder.launch(
      KernelId.gatherRows,
      [table.address, ids.address, at(outputs, 0).address, width, table.dtype === 'i8' ? 3 : encodingOf(table), rows],
      elementsOf(ids),
      width,
    );
  },
};

export const scatterAddRows: CpuKernel<'scatterAddRows'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [g, ids, y] = [at(inputs, 0), at(inputs, 1), at(outputs, 0)];
    const width = widthOf(y);
    const count = elementsOf(ids);
    recorder.launch(
      KernelId.scatterAddRows,
      [g.address, ids.address, y.address, width, count, attrs.rows],
      Math.ceil(width / 16),
      16 * (count + attrs.rows),
    );
  },
};
