import { momentBlock, sizeOf } from '@lowrank/tensor/op';
import type { DType } from '@lowrank/tensor';
import { LowrankError } from '@lowrank/errors';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel } from '../kernel.js';
import { at } from '../kernel.js';
import { f32Bits } from '../recorder.js';

/** Kernels that walk flat vectors: a unit is a block of elements. */

const blockElements = 1024;

export const swiglu: CpuKernel<'swiglu'> = {
  lower({ inputs, outputs, recorder }) {
    const [gate, up] = [at(inputs, 0), at(inputs, 1)];
    const elements = sizeOf(gate.shape);
    recorder.launch(
      KernelId.swiglu,
      [gate.address, up.address, at(outputs, 0).address, elements],
      Math.ceil(elements / blockElements),
      8 * blockElements,
    );
  },
};

export const swigluBackward: CpuKernel<'swigluBackward'> = {
  lower({ inputs, outputs, recorder }) {
    const [gate, up, g] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
    const elements = sizeOf(gate.shape);
    const words = [gate.address, up.address, g.address, at(outputs, 0).address, at(outputs, 1).address, elements];
    recorder.launch(KernelId.swigluBackward, words, Math.ceil(elements / blockElements), 10 * blockElements);
  },
};

export const adamw: CpuKernel<'adamw'> = {
  lower({ attrs: { beta1, beta2, epsilon }, inputs, outputs, recorder }) {
    const elements = sizeOf(at(inputs, 0).shape);
    const words = [
      ...inputs.map(({ address }) => address),
      ...outputs.map(({ address }) => address),
      elements,
      f32Bits(beta1),
      f32Bits(1 - beta1),
      f32Bits(beta2),
      f32Bits(1 - beta2),
      f32Bits(epsilon),
    ];
    recorder.launch(KernelId.adamw, words, Math.ceil(elements / 64), 64 * 8);
  },
};

export const adamw8bit: CpuKernel<'adamw8bit'> = {
  lower({ attrs: { beta1, beta2, epsilon }, inputs, outputs, recorder }) {
    const elements = sizeOf(at(inputs, 0).shape);
    const words = [
      ...inputs.map(({ address }) => address),
      ...outputs.map(({ address }) => address),
      elements,
      f32Bits(beta1),
      f32Bits(1 - beta1),
      f32Bits(beta2),
      f32Bits(1 - beta2),
      f32Bits(epsilon),
    ];
    recorder.launch(KernelId.adamw8bit, words, Math.ceil(elements / momentBlock), momentBlock * 32);
  },
};

export const random: CpuKernel<'random'> = {
  lower({ attrs: { stream }, inputs, outputs, recorder }) {
    const y = at(outputs, 0);
    const elements = sizeOf(y.shape);
    recorder.launch(
      KernelId.random,
      [at(inputs, 0).address, at(inputs, 1).address, y.address, elements, stream],
      Math.ceil(elements / blockElements),
      32 * blockElements,
    );
  },
};

const castNumbers: Partial<Record<DType, number>> = { f32: 0, bf16: 1, f16: 2, i32: 3, u32: 4 };

export const cast: CpuKernel<'cast'> = {
  lower({ inputs, outputs, recorder }) {
    const [x, y] = [at(inputs, 0), at(outputs, 0)];
    const [from, to] = [castNumbers[x.dtype], castNumbers[y.dtype]];
    if (from === undefined || to === undefined)
      throw new LowrankError({
        code: 'cpu.dtype',
        what: 'cast',
        expected: Object.keys(castNumbers).join(', '),
        got: `${x.dtype} to ${y.dtype}`,
      });
    const elements = sizeOf(x.shape);
    recorder.launch(
      KernelId.cast,
      [x.address, y.address, elements, from, to],
      Math.ceil(elements / blockElements),
      4 * blockElements,
    );
  },
};
