import { sameShape } from '../shape.js';
import type { Instruction, Program } from './program.js';
import { Value, viewOf } from './program.js';

/** How far before a backward op the readers may lie that it takes along. */
const reach = 48;

/**
 * A backward op that declares `remakes` has in its hands what its forward op made the output of. Where the backward
 * pass reads that output, it makes it once more, and those readers come after it: the output is dead between the
 * passes, and in the end lies where the gradient came in. SwiGLU's, which the next product's gradient reads, is a third
 * of what a layer keeps beside its inputs.
 */
export function remakeOutputs(program: Program): void {
  for (const maker of program.instructions.filter(({ op }) => op.remakes !== undefined)) {
    const list = program.instructions;
    const at = list.indexOf(maker);
    const forward = forwardOf(maker, list.slice(0, Math.max(0, at - reach)));
    const [output] = forward?.outputs ?? [];
    if (output === undefined || isWanted(output, program)) continue;
    const reads = ({ inputs }: Instruction): boolean => inputs.some(({ root }) => root === output.root);
    const before = list.slice(Math.max(0, at - reach), at).filter(reads);
    const readers = [...before, ...list.slice(at + 1).filter(reads)];
    const between = list.slice(Math.max(0, at - reach), at + 1).filter((other) => !before.includes(other));
    const movable = before.every((reader) => between.every((other) => !dependsOn(other, reader)));
    const whole = readers.every(({ inputs }) => inputs.every((input) => input.root !== output.root || input.whole));
    if (readers.length === 0 || !movable || !whole) continue;
    const again = new Value(output.spec);
    maker.attrs = { ...maker.attrs, ...(maker.op.remakes?.attrs as object) };
    maker.outputs = [...maker.outputs, again];
    for (const reader of readers)
      reader.inputs = reader.inputs.map((input) => (input.root === output.root ? viewOf(again, input.spec) : input));
    const staying = list.filter((instruction) => !before.includes(instruction));
    staying.splice(staying.indexOf(maker) + 1, 0, ...before);
    program.instructions = staying;
  }
}

function forwardOf({ op, inputs }: Instruction, earlier: readonly Instruction[]): Instruction | undefined {
  return earlier.findLast(
    (other) =>
      other.op.name === op.remakes?.op &&
      other.inputs.every((input, at) => {
        const own = inputs[at];
        return own !== undefined && own.isSlice(input) && sameShape(own.spec.shape, input.spec.shape);
      }),
  );
}

function isWanted(value: Value, { outputs, effects }: Program): boolean {
  return [...outputs, ...effects].some((wanted) => wanted.value.root === value.root);
}

function dependsOn({ inputs }: Instruction, { outputs }: Instruction): boolean {
  return outputs.some((output) => inputs.some(({ root }) => root === output.root));
}
