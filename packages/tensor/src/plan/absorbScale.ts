import type { ElementwiseAttrs } from '../ops/elementwise.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses, viewOf } from './program.js';

/**
 * `op(…)·s` with a number that the host sets becomes part of the op, where the op declares that it can
 * (`Op.absorbScale`) and nobody reads the product without s: LoRA's scale on its thin products, forward and backward.
 */
export function absorbScale(program: Program): void {
  const uses = countUses(program);
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  for (const instruction of program.instructions) {
    const scaled = scaledOperand(instruction);
    const producer = scaled === undefined ? undefined : producers.get(scaled.value.root);
    if (scaled !== undefined && producer !== undefined && scaled.value.whole && uses.get(scaled.value.root) === 1)
      if (absorb(instruction, producer, scaled.scale)) gone.add(producer);
    for (const output of instruction.outputs) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

/** The operands of `value·scale`, where the scale is the host's. */
function scaledOperand({ op, attrs, inputs }: Instruction): { value: Value; scale: Value } | undefined {
  const [left, right] = inputs;
  if (op.name !== 'elementwise' || left === undefined || right === undefined || inputs.length !== 2) return undefined;
  const { program } = attrs as ElementwiseAttrs;
  const [only] = program;
  if (program.length !== 1 || only?.fn !== 'mul') return undefined;
  const [value, scale] = right.leaf?.kind === 'scalar' ? [left, right] : [right, left];
  if (scale.leaf?.kind !== 'scalar' || scale.spec.dtype !== 'f32') return undefined;
  return sizeOf(value.spec.shape) === sizeOf((attrs as ElementwiseAttrs).shape) ? { value, scale } : undefined;
}

/** The multiplication becomes the scaled op; what it wrote is a view of the op's output. */
function absorb(multiplication: Instruction, { op, attrs, inputs, outputs }: Instruction, scale: Value): boolean {
  const [product] = multiplication.outputs;
  const [output] = outputs;
  const scaled = op.absorbScale?.(attrs) as object | undefined;
  if (scaled === undefined || product === undefined || output === undefined || outputs.length !== 1) return false;
  Object.assign(multiplication, { op, attrs: scaled, inputs: [...inputs, scale] });
  if (!sameShape(product.spec.shape, output.spec.shape)) multiplication.outputs = [viewOf(product, output.spec)];
  return true;
}
