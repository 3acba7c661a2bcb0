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
      if (absorb(instruction, producer, scaled.scale)) gone.add(instruction);
    const maker = gone.has(instruction) ? producer : instruction;
    for (const output of instruction.outputs) if (maker !== undefined) producers.set(output.root, maker);
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

/**
 * The op makes what the multiplication wrote, which is a view of its output, where it stood itself: the gradients of
 * weights are multiplied when the backward pass is over, and their operands need not live as long.
 */
function absorb(multiplication: Instruction, maker: Instruction, scale: Value): boolean {
  const { op, attrs, inputs, outputs } = maker;
  const [product] = multiplication.outputs;
  const [output] = outputs;
  const scaled = op.absorbScale?.(attrs) as object | undefined;
  if (scaled === undefined || product === undefined || output === undefined || outputs.length !== 1) return false;
  maker.attrs = scaled;
  maker.inputs = [...inputs, scale];
  maker.outputs = [sameShape(product.spec.shape, output.spec.shape) ? product : viewOf(product, output.spec)];
  return true;
}
