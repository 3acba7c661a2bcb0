import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { sameShape } from '../shape.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses } from './program.js';

/**
 * `op(…) + c` becomes part of the op, where the op declares that it can (`Op.absorbAddend`) and nobody reads its result
 * alone: the gradient of a norm, and that of the residual stream beside it.
 */
export function absorbAddend(program: Program): void {
  const uses = countUses(program);
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  for (const instruction of program.instructions) {
    const [left, right] = summands(instruction);
    for (const [value, addend] of [
      [left, right],
      [right, left],
    ]) {
      const producer = value === undefined ? undefined : producers.get(value.root);
      if (value === undefined || addend === undefined || producer === undefined) continue;
      const attrs = producer.op.absorbAddend?.(producer.attrs) as object | undefined;
      const [made, ...others] = producer.outputs;
      if (attrs === undefined || made === undefined || others.length > 0 || uses.get(value.root) !== 1) continue;
      if (!value.whole || !sameShape(made.spec.shape, value.spec.shape)) continue;
      Object.assign(instruction, { op: producer.op, attrs, inputs: [...producer.inputs, addend] });
      gone.add(producer);
      break;
    }
    for (const output of instruction.outputs) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

/** The operands of a sum of two arrays of the result's shape. */
function summands({ op, attrs, inputs, outputs }: Instruction): Value[] {
  const { program } = attrs as ElementwiseAttrs;
  if (op.name !== 'elementwise' || inputs.length !== 2 || program.length !== 1 || program[0]?.fn !== 'add') return [];
  const [output] = outputs;
  const fits = inputs.every(({ spec }) => spec.dtype === 'f32' && sameShape(spec.shape, output?.spec.shape ?? []));
  return fits ? [...inputs] : [];
}
