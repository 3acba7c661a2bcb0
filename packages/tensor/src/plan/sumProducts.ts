import type { BackendSpec } from '../backend.js';
import { matmulOp } from '../ops/matmul.js';
import { matmulOperands, matmulTerms } from '../ops/matmulOperands.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { bindProduct } from './bindProduct.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses } from './program.js';

/**
 * A product whose addend is another product's result, which nobody else reads, takes that one in: `a·b + a₁·b₁` in one
 * set of sums, in place of a result that is written and read. So the gradients of q, k and v (of gate and up) by their
 * common input are one product.
 */
export function sumProducts(program: Program, spec: BackendSpec): void {
  if (spec.fusion.product === undefined) return;
  const uses = countUses(program);
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  for (const instruction of program.instructions) {
    const addend = addendOf(instruction);
    const other = addend === undefined ? undefined : producers.get(addend.root);
    if (addend?.whole === true && other !== undefined && uses.get(addend.root) === 1) {
      const sum = sumOf(instruction, other);
      if (sum !== undefined && bindProduct(sum, spec)) {
        Object.assign(instruction, sum);
        gone.add(other);
      }
    }
    for (const output of instruction.outputs) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

function addendOf({ op, attrs, inputs }: Instruction): Value | undefined {
  const { addend } = attrs as MatmulAttrs;
  return op === matmulOp && addend === 'full' ? matmulOperands(inputs, attrs as MatmulAttrs).addend : undefined;
}

function sumOf(product: Instruction, other: Instruction): Instruction | undefined {
  const attrs = product.attrs as MatmulAttrs;
  const its = other.attrs as MatmulAttrs;
  const plain = other.op === matmulOp && [attrs, its].every(isPlain);
  const [first, ...more] = matmulTerms(product.inputs, attrs);
  if (!plain || first === undefined || first.a?.spec.shape.length !== 2) return undefined;
  const further = [...more, ...matmulTerms(other.inputs, its)];
  const { addend } = matmulOperands(other.inputs, its);
  const terms = [first, ...further].flatMap(({ a, b, h, u }) => [a, ...b, h, u]);
  return {
    ...product,
    attrs: { ...attrs, addend: its.addend, further: further.map(({ term }) => term) },
    inputs: [...terms, addend].filter((value) => value !== undefined),
  };
}

function isPlain({ scaled, left, epilogue }: MatmulAttrs): boolean {
  return scaled !== true && left === undefined && epilogue === undefined;
}
