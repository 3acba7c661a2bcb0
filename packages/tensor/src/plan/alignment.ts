import { LowrankError } from '@lowrank/errors';
import { bytesPerElement } from '../dtype.js';
import { sliceOp } from '../ops/movement.js';
import { sizeOf } from '../shape.js';
import type { Instruction, Program } from './program.js';
import { Value, viewOf } from './program.js';

/** A view that starts at a place no kernel can bind is copied out first. */
export function alignViews(program: Program, alignment: number): void {
  const copies = new Map<string, Value>();
  const ids = new Map<Value, number>();
  program.instructions = program.instructions.flatMap((instruction) => {
    const before: Instruction[] = [];
    instruction.inputs = instruction.inputs.map((input) => {
      if (input.place % alignment === 0 || input.root.leaf?.kind === 'scalar') return input;
      const id = ids.get(input.root) ?? ids.size;
      ids.set(input.root, id);
      const key = `${id}+${input.place}:${input.bytes}`;
      const known = copies.get(key);
      if (known !== undefined && program.effects.every(({ target }) => !target.overlaps(input)))
        return viewOf(known, input.spec);
      const { copy, value } = copyOut(input, instruction.scope);
      before.push(copy);
      copies.set(key, value);
      return value;
    });
    const astray = instruction.outputs.find((output) => output.place % alignment !== 0);
    if (astray !== undefined) throw unaligned(astray, instruction.scope);
    return [...before, instruction];
  });
}

function copyOut(view: Value, scope: string): { copy: Instruction; value: Value } {
  if (view.spec.dtype !== 'f32' || view.root.spec.dtype !== 'f32') throw unaligned(view, scope);
  const size = sizeOf(view.spec.shape);
  const flat = viewOf(view.root, { shape: [sizeOf(view.root.spec.shape)], dtype: 'f32' });
  const value = new Value({ shape: [size], dtype: 'f32' });
  const copy: Instruction = {
    op: sliceOp,
    attrs: { starts: [view.place / bytesPerElement('f32')], sizes: [size] },
    inputs: [flat],
    outputs: [value],
    scope,
  };
  return { copy, value: viewOf(value, view.spec) as Value };
}

function unaligned(value: Value, scope: string): LowrankError {
  return new LowrankError({
    code: 'tensor.alignment',
    what: `a piece of a tensor in ${scope === '' ? 'the program' : scope}`,
    expected: 'a piece that starts at an aligned place of its storage',
    got: `${value.spec.dtype} from byte ${value.place} on`,
    remedy: 'Start pieces at multiples of 64 elements, or copy with slice().',
  });
}
