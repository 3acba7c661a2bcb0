import { sizeOf } from '../shape.js';
import { alignViews } from './alignment.js';
import { copyInto } from './copies.js';
import { placeEffects } from './effects.js';
import { inPlacePairs } from './inPlace.js';
import { placePacks } from './packs.js';
import type { Instruction, Program } from './program.js';
import { Value } from './program.js';

/**
 * Decides which values are written straight into a place in something larger: the inputs of a pack into the packed
 * vector, the value of an assignment into the persistent tensor, the result of an in-place op over its dying input.
 * What cannot is copied by an instruction of its own.
 */
export function layOut(program: Program, alignment: number): void {
  placePacks(program, alignment);
  keepOldOutputs(program);
  placeEffects(program);
  separateSlices(program);
  alignViews(program, alignment);
  reuseDyingInputs(program);
  copyForInPlaceOnly(program);
}

/** An output that is persistent data which this run changes is copied while it is still the old. */
function keepOldOutputs(program: Program): void {
  const copies: Instruction[] = [];
  for (const output of program.outputs) {
    const { value } = output;
    if (!program.effects.some(({ target }) => target.overlaps(value))) continue;
    output.value = new Value(value.spec);
    copies.push(copyInto(output.value, value, 'output'));
  }
  program.instructions.unshift(...copies);
}

/** No instruction may read one slice and write another of the same storage: such an output is made apart and copied. */
function separateSlices(program: Program): void {
  program.instructions = program.instructions.flatMap((instruction) => {
    const copies: Instruction[] = [];
    instruction.outputs = instruction.outputs.map((output) => {
      const clash = instruction.inputs.some((input) => input.root === output.root && !input.isSlice(output));
      if (!clash) return output;
      const apart = new Value(output.spec);
      copies.push(copyInto(output, apart, instruction.scope));
      return apart;
    });
    return [instruction, ...copies];
  });
}

/** An op that may work in place does, where its input is read for the last time. */
function reuseDyingInputs(program: Program): void {
  const lastRead = new Map<Value, number>();
  program.instructions.forEach(({ inputs }, at) => inputs.forEach(({ root }) => lastRead.set(root, at)));
  const pinned = new Set<Value>(program.outputs.map(({ value }) => value.root));
  const packed = new Set<Value>();
  const writers = new Map<Value, number>();
  program.instructions.forEach(({ outputs }) =>
    outputs.forEach(({ root }) => writers.set(root, (writers.get(root) ?? 0) + 1)),
  );
  for (const [root, count] of writers) if (count > 1) packed.add(root);
  program.instructions.forEach((instruction, at) => {
    const taken = new Set<Value>();
    for (const [from, to] of inPlacePairs(instruction)) {
      const input = instruction.inputs[from];
      const output = instruction.outputs[to];
      if (
        input === undefined ||
        output === undefined ||
        output.base !== undefined ||
        pinned.has(output.root) ||
        writers.get(output.root) !== 1
      )
        continue;
      const { root } = input;
      const free =
        root.leaf === undefined &&
        !pinned.has(root) &&
        !packed.has(root) &&
        !taken.has(root) &&
        lastRead.get(root) === at;
      const readTwice = instruction.inputs.filter((other) => other.root === root && !other.isSlice(input)).length > 0;
      if (!free || readTwice || !input.whole || input.bytes !== output.bytes || input.spec.dtype !== output.spec.dtype)
        continue;
      if (instruction.op.name === 'elementwise' && sizeOf(input.spec.shape) !== sizeOf(output.spec.shape)) continue;
      output.base = root;
      output.offset = 0;
      taken.add(root);
      lastRead.set(root, lastRead.get(output) ?? at);
    }
  });
}

/** An op that only works in place gets a copy to work on, where its input could not be given up. */
function copyForInPlaceOnly(program: Program): void {
  program.instructions = program.instructions.flatMap((instruction) => {
    if (instruction.op.inPlaceOnly !== true) return [instruction];
    const copies: Instruction[] = [];
    for (const [from, to] of inPlacePairs(instruction)) {
      const input = instruction.inputs[from];
      const output = instruction.outputs[to];
      if (input === undefined || output === undefined || input.isSlice(output)) continue;
      copies.push(copyInto(output, input, instruction.scope));
      instruction.inputs[from] = output;
    }
    return [...copies, instruction];
  });
}
