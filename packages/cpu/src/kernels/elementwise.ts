import type { Shape } from '@lowrank/tensor';
import type { ElementwiseInstruction } from '@lowrank/tensor/backend';
import { broadcastStrides, sizeOf } from '@lowrank/tensor/op';
import { Fn, KernelId } from '../kernelIds.js';
import type { CpuKernel, Place } from '../kernel.js';
import { at } from '../kernel.js';
import { f32Bits } from '../recorder.js';

/** Slots of 1 KiB that a program may use at once; they are the start of each thread's scratch memory. */
const slotLimit = 256;

const blockElements = 256;
enum OperandKind {
  whole,
  number,
  constant,
  broadcast,
}

/**
 * A fused elementwise program, run by the interpreter in `assembly/elementwise.ts`: constants and single numbers are
 * spread over a slot once per task, broadcast inputs are gathered block by block, and intermediate results take slots
 * that are free again after their last use.
 */
export const elementwise: CpuKernel<'elementwise'> = {
  lower({ attrs: { program, shape }, inputs, outputs, recorder }) {
    const elements = sizeOf(shape);
    const slots = new Slots();
    const operands = inputs.map((input) => describeInput(input, shape, slots, (words) => recorder.parameters(words)));
    const constants = program.filter(
      (step): step is Extract<ElementwiseInstruction, { fn: 'constant' }> => step.fn === 'constant',
    );
    for (const { value } of constants) operands.push([OperandKind.constant, f32Bits(value), slots.take(), 0]);
    const { code, result } = assemble(program, inputs.length, operands.length, slots);
    const words = [
      elements,
      at(outputs, 0).address,
      operands.length,
      code.length / 5,
      result,
      ...operands.flat(),
      ...code,
    ];
    recorder.launch(
      KernelId.elementwise,
      words,
      Math.ceil(elements / blockElements),
      blockElements * Math.max(1, code.length / 5),
    );
  },
};

function describeInput(input: Place, shape: Shape, slots: Slots, parameters: (words: number[]) => number): number[] {
  if (sizeOf(input.shape) === sizeOf(shape)) return [OperandKind.whole, input.address, 0, 0];
  if (sizeOf(input.shape) === 1) return [OperandKind.number, input.address, slots.take(), 0];
  const axes = collapse(shape, broadcastStrides(input.shape, shape));
  return [OperandKind.broadcast, parameters([input.address, axes.length, ...axes.flat()]), slots.take(), 0];
}

/** Neighbouring axes that one stride can walk become one: [size, stride] from the outermost. */
function collapse(shape: Shape, strides: readonly number[]): [number, number][] {
  const axes: [number, number][] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const stride = strides[axis];
    const last = axes.at(-1);
    if (last !== undefined && last[1] === stride * size) {
      last[0] *= size;
      last[1] = stride;
    } else axes.push([size, stride]);
  });
  return axes.length === 0 ? [[1, 0]] : axes;
}

/** Words of the program: [fn, a, b, c, target slot] each; arguments are operands, or operands + slot. */
function assemble(
  program: readonly ElementwiseInstruction[],
  inputs: number,
  operands: number,
  slots: Slots,
): { code: number[]; result: number } {
  const lastUse = new Map<number, number>();
  program.forEach((step, index) => {
    if (step.fn !== 'constant') for (const arg of step.args) lastUse.set(arg, index);
  });
  const code: number[] = [];
  const places: number[] = Array.from({ length: inputs }, (_, i) => i);
  let constants = inputs;
  program.forEach((step, index) => {
    if (step.fn === 'constant') {
      places.push(constants++);
      return;
    }
    const [a = 0, b = a, c = b] = step.args.map((arg) => at(places, arg));
    // Taken before the arguments' slots are given back: an instruction never writes over what it reads.
    const slot = slots.take();
    code.push(Fn[step.fn], a, b, c, slot);
    for (const arg of new Set(step.args))
      if (lastUse.get(arg) === index && at(places, arg) >= operands) slots.give(at(places, arg) - operands);
    places.push(operands + slot);
  });
  return { code, result: places.at(-1) ?? 0 };
}

class Slots {
  private readonly free: number[] = [];
  private used = 0;

  take(): number {
    const slot = this.free.pop() ?? this.used++;
    if (slot >= slotLimit) throw new RangeError('an elementwise program needs more slots than there are');
    return slot;
  }

  give(slot: number): void {
    this.free.push(slot);
  }
}
