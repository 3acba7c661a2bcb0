import type { BackendSpec } from '../backend.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses, viewOf } from './program.js';

/**
 * Where products of few rows, as in generation, are all that read the output of an op with `asLeftOperand`, each makes
 * it itself while it reads: a norm before q, k and v, SwiGLU before the product that follows.
 */
export function fuseLeftOperand(program: Program, spec: BackendSpec): void {
  if (spec.fusion.leftOperand === undefined) return;
  const uses = countUses(program);
  const readers = new Map<Value, Instruction[]>();
  for (const instruction of program.instructions) {
    const [left, ...others] = instruction.inputs;
    if (left === undefined || !takesLeft(instruction, spec) || others.some(({ root }) => root === left.root)) continue;
    readers.set(left.root, [...(readers.get(left.root) ?? []), instruction]);
  }
  program.instructions = program.instructions.filter((maker) => {
    const [output] = maker.outputs;
    const products = output === undefined ? [] : (readers.get(output.root) ?? []);
    const alone = output !== undefined && products.length > 0 && products.length === uses.get(output.root);
    const left = alone ? maker.op.asLeftOperand?.(maker.attrs) : undefined;
    const [x, beside, ...more] = maker.inputs;
    if (left === undefined || x === undefined || beside === undefined || more.length > 0) return true;
    for (const product of products) {
      const [a = x, ...rest] = product.inputs;
      const second = left.form === 'swiglu' ? viewOf(beside, a.spec) : beside;
      product.inputs = [viewOf(x, a.spec), second, ...rest];
      product.attrs = { ...product.attrs, left };
    }
    return false;
  });
}

/** A product that reads all of its left operand, and may bind one operand more. */
function takesLeft({ op, attrs, inputs, outputs }: Instruction, spec: BackendSpec): boolean {
  const [left] = inputs;
  const bound = inputs.filter(({ leaf }) => leaf?.kind !== 'scalar').length + outputs.length;
  return (
    op.name === 'matmul' &&
    left?.whole === true &&
    (attrs as MatmulAttrs).left === undefined &&
    bound < spec.maxOperands &&
    spec.fusion.leftOperand?.(
      inputs.map((input) => input.spec),
      attrs,
    ) === true
  );
}
