import type { BackendSpec } from '../backend.js';
import { matmulOp } from '../ops/matmul.js';
import { matmulTerms } from '../ops/matmulOperands.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { resultSpecs } from '../ops/matmulReference.js';
import { sameShape } from '../shape.js';
import type { ProductEpilogue } from '../spec.js';
import { bindProduct } from './bindProduct.js';
import type { Instruction, Program } from './program.js';
import { countUses, lastReads, Value, viewOf } from './program.js';

interface Graph {
  readonly instructions: readonly Instruction[];
  readonly producers: ReadonlyMap<Value, Instruction>;
  readonly uses: ReadonlyMap<Value, number>;
}

/**
 * An op that declares `asEpilogue` becomes part of the product whose result it reads: SwiGLU of the products that make
 * gate and up, which it needs side by side, and its gradient of the one that makes the gradient of its output.
 */
export function fuseEpilogue(program: Program, spec: BackendSpec): void {
  if (spec.fusion.product === undefined) return;
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  const dying = lastReads(program);
  const graph: Graph = { instructions: program.instructions, producers, uses: countUses(program) };
  for (const instruction of program.instructions) {
    const epilogue = instruction.op.asEpilogue?.(instruction.attrs);
    const found =
      epilogue?.form === 'swiglu' ? ofPair(instruction, epilogue, graph) : ofOne(instruction, epilogue, graph);
    if (found !== undefined && bindProduct(found.fused, spec, (value) => dying.get(value.root) === instruction)) {
      found.absorbed.forEach((old) => gone.add(old));
      instruction.outputs.forEach((output, at) => standOn(output, found.fused.outputs[at]));
      Object.assign(instruction, found.fused);
    }
    for (const output of instruction.outputs) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

interface Found {
  readonly fused: Instruction;
  readonly absorbed: readonly Instruction[];
}

/** The op whose last input is a product's result that nobody else reads; the others become the epilogue's. */
function ofOne(instruction: Instruction, epilogue: ProductEpilogue | undefined, graph: Graph): Found | undefined {
  const result = instruction.inputs.at(-1);
  const product = result === undefined ? undefined : productOf(result, graph);
  if (epilogue === undefined || result === undefined || product === undefined) return undefined;
  if (graph.uses.get(result.root) !== 1) return undefined;
  const attrs: MatmulAttrs = { ...(product.attrs as MatmulAttrs), epilogue };
  const [spec = result.spec] = product.outputs.map((output) => output.spec);
  const beside = instruction.inputs.slice(0, -1).map((input) => viewOf(input, spec));
  return { fused: asProduct(instruction, attrs, [...product.inputs, ...beside]), absorbed: [product] };
}

/** The op of two products of one left operand; what else reads their results reads those of the one that is both. */
function ofPair(instruction: Instruction, epilogue: ProductEpilogue, graph: Graph): Found | undefined {
  const products = instruction.inputs.map((input) => productOf(input, graph));
  const [first, second] = products;
  if (first === undefined || second === undefined || products.length !== 2 || first === second) return undefined;
  const terms = [first, second].map(({ attrs, inputs }) => matmulTerms(inputs, attrs as MatmulAttrs));
  const [one, other] = terms.map(([term]) => term);
  const plain = [first, second].every(({ attrs }) => !('addend' in attrs && attrs.addend !== undefined));
  if (one?.a === undefined || other?.a === undefined || terms.some(({ length }) => length > 1) || !plain)
    return undefined;
  if (!one.a.isSlice(other.a) || one.term.transposeA !== other.term.transposeA) return undefined;
  const kept = [first, second].flatMap(({ outputs }) => outputs);
  const at = graph.instructions.indexOf(instruction);
  const from = Math.min(...[first, second].map((product) => graph.instructions.indexOf(product)));
  const between = graph.instructions.slice(from, at).filter((each) => each !== first && each !== second);
  const isRead = between.some(({ inputs }) => inputs.some(({ root }) => kept.some((output) => output.root === root)));
  if (isRead || kept.some(({ whole }) => !whole)) return undefined;
  const attrs: MatmulAttrs = { ...(first.attrs as MatmulAttrs), further: [other.term], epilogue };
  const fused = asProduct(instruction, attrs, [...first.inputs, ...second.inputs]);
  return { fused: { ...fused, outputs: [...fused.outputs, ...kept] }, absorbed: [first, second] };
}

/** What an instruction made becomes a view of what makes it now. */
function standOn(output: Value, made: Value | undefined): void {
  if (made === undefined || made === output) return;
  output.base = made;
  output.offset = 0;
}

/** The op as a matmul, whose outputs are matrices. */
function asProduct(instruction: Instruction, attrs: MatmulAttrs, inputs: Value[]): Instruction {
  const specs = resultSpecs(
    inputs.map((input) => input.spec),
    attrs,
  );
  const outputs = instruction.outputs.map((output, at) => {
    const spec = specs[at] ?? output.spec;
    return sameShape(spec.shape, output.spec.shape) ? output : new Value(spec);
  });
  return { op: matmulOp, attrs, inputs, outputs, scope: instruction.scope };
}

/** The matmul that made the whole of `value`, of plain matrices and without an epilogue. */
function productOf(value: Value, { producers }: Graph): Instruction | undefined {
  const producer = producers.get(value.root);
  const { epilogue, left, scaled } = (producer?.attrs ?? {}) as MatmulAttrs;
  const [made] = producer?.outputs ?? [];
  const plain = epilogue === undefined && left === undefined && scaled !== true;
  return producer?.op === matmulOp && plain && value.whole && made?.spec.shape.length === 2 ? producer : undefined;
}
