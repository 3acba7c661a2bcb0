import { sizeOf, stridesOf } from '@lowrank/tensor/op';
import type { Shape } from '@lowrank/tensor';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel, Place } from '../kernel.js';
import { at } from '../kernel.js';
import type { Recorder } from '../recorder.js';

/** Permute, slice, pad and concat are one kernel: a copy between two strided blocks of the same shape. */

interface StridedCopy {
  shape: Shape;
  from: number;
  fromStrides: readonly number[];
  to: number;
  toStrides: readonly number[];
}

/** Element strides; addresses in bytes. Neighbouring axes that both sides walk with one stride become one. */
function copyStrided(recorder: Recorder, { shape, from, fromStrides, to, toStrides }: StridedCopy): void {
  const axes: [number, number, number][] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const [source, target] = [fromStrides[axis], toStrides[axis]];
    const last = axes.at(-1);
    if (last !== undefined && last[1] === source * size && last[2] === target * size) {
      last[0] *= size;
      last[1] = source;
      last[2] = target;
    } else axes.push([size, source, target]);
  });
  if (axes.length === 0) axes.push([1, 1, 1]);
  const [length] = axes.at(-1) ?? [1];
  recorder.launch(KernelId.copyStrided, [from, to, axes.length, ...axes.flat()], sizeOf(shape) / length, length);
}

export const permute: CpuKernel<'permute'> = {
  lower({ attrs: { axes }, inputs, outputs, recorder }) {
    const [x, y] = [at(inputs, 0), at(outputs, 0)];
    const strides = stridesOf(x.shape);
    copyStrided(recorder, {
      shape: y.shape,
      from: x.address,
      fromStrides: axes.map((axis) => strides[axis]),
      to: y.address,
      toStrides: stridesOf(y.shape),
    });
  },
};

export const slice: CpuKernel<'slice'> = {
  lower({ attrs: { starts, sizes }, inputs, outputs, recorder }) {
    const [x, y] = [at(inputs, 0), at(outputs, 0)];
    const strides = stridesOf(x.shape);
    copyStrided(recorder, {
      shape: sizes,
      from: x.address + 4 * offsetOf(starts, strides),
      fromStrides: strides,
      to: y.address,
      toStrides: stridesOf(sizes),
    });
  },
};

export const pad: CpuKernel<'pad'> = {
  lower({ attrs: { before }, inputs, outputs, recorder }) {
    const [x, y] = [at(inputs, 0), at(outputs, 0)];
    const strides = stridesOf(y.shape);
    zero(recorder, y);
    copyStrided(recorder, {
      shape: x.shape,
      from: x.address,
      fromStrides: stridesOf(x.shape),
      to: y.address + 4 * offsetOf(before, strides),
      toStrides: strides,
    });
  },
};

export const concat: CpuKernel<'concat'> = {
  lower({ attrs: { axis }, inputs, outputs, recorder }) {
    const y = at(outputs, 0);
    const strides = stridesOf(y.shape);
    let start = 0;
    for (const x of inputs) {
      copyStrided(recorder, {
        shape: x.shape,
        from: x.address,
        fromStrides: stridesOf(x.shape),
        to: y.address + 4 * start * strides[axis],
        toStrides: strides,
      });
      start += x.shape[axis];
    }
  },
};

/** The cache is copied first where the result is not written in its place. */
export const writeAt: CpuKernel<'writeAt'> = {
  lower({ inputs, outputs, recorder }) {
    const [cache, value, starts, y] = [at(inputs, 0), at(inputs, 1), at(inputs, 2), at(outputs, 0)];
    const [batch = 1, capacity = 1] = cache.shape;
    const length = value.shape[1] ?? 1;
    const row = sizeOf(cache.shape.slice(2));
    const halves = cache.dtype === 'f16';
    if (y.address !== cache.address) {
      // Copied in words of four bytes.
      const words = row / (halves ? 2 : 1);
      copyStrided(recorder, {
        shape: [batch * capacity, words],
        from: cache.address,
        fromStrides: [words, 1],
        to: y.address,
        toStrides: [words, 1],
      });
    }
    recorder.launch(
      KernelId.writeAt,
      [y.address, value.address, starts.address, capacity, length, row, Number(halves)],
      batch,
      length * row,
    );
  },
};

function zero(recorder: Recorder, y: Place): void {
  const bytes = 4 * sizeOf(y.shape);
  recorder.launch(KernelId.fill, [y.address, bytes, 0], Math.ceil(bytes / 65536), 16384);
}

function offsetOf(starts: readonly number[], strides: readonly number[]): number {
  return starts.reduce((total, start, axis) => total + start * strides[axis], 0);
}
