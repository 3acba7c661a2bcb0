import type { BackendSpec } from '../backend.js';
import { matmulOp } from '../ops/matmul.js';
import { matmulOperands } from '../ops/matmulOperands.js';
import type { MatmulAttrs } from '../ops/matmulOperands.js';
import { resultSpecs, resultsOf } from '../ops/matmulReference.js';
import { reduce } from '../ops/reduce.js';
import type { ReduceAttrs } from '../ops/reduce.js';
import { sameShape } from '../shape.js';
import type { ProductPart } from '../spec.js';
import { bindProduct } from './bindProduct.js';
import type { Instruction, Program } from './program.js';
import { countUses, lastReads, Value } from './program.js';

/** How far behind the product its readers may lie. */
const reach = 48;

/** Above this, partial sums take half of what reading the result takes, or more. */
const maxRank = 16;

/**
 * Thin products with a product's results are made where those are written, as partial sums that a reduction adds up
 * (`MatmulAttrs.parts`): of the gradients of gate and up those of their adapters, and of what they were joined to,
 * which then is not written at all.
 */
export function fuseParts(program: Program, spec: BackendSpec): void {
  if (spec.fusion.product === undefined) return;
  for (const product of program.instructions.filter(({ op }) => op === matmulOp)) {
    const found = readersOf(product, program);
    if (found.length > 0) takeParts(product, found, { program, spec });
  }
}

/** A thin product that reads a result, and what it is as a part. */
interface Reader {
  readonly instruction: Instruction;
  readonly part: ProductPart;
  readonly operands: readonly Value[];
}

function readersOf(product: Instruction, { instructions }: Program): Reader[] {
  const { epilogue, parts } = product.attrs as MatmulAttrs;
  if (epilogue === undefined || parts !== undefined || product.outputs.some(({ whole }) => !whole)) return [];
  const at = instructions.indexOf(product);
  const near = instructions.slice(at, at + reach);
  const made = new Set(near.flatMap(({ outputs }) => outputs.map(({ root }) => root)));
  return near.slice(1).flatMap((instruction): Reader[] => {
    const { op, attrs, inputs } = instruction;
    const { transposeA, transposeB, scaled = false, ...others } = attrs as MatmulAttrs;
    if (op !== matmulOp || Object.values(others).some((value) => value !== undefined)) return [];
    const {
      a,
      b: [b],
      scale,
    } = matmulOperands(inputs, attrs as MatmulAttrs);
    if (a === undefined || b === undefined) return [];
    const [left, right] = [a, b].map((value) => product.outputs.findIndex(({ root }) => root === value.root));
    const of = Math.max(left ?? -1, right ?? -1);
    const t = of === left ? b : a;
    const [result] = product.outputs;
    const isResult = (value: Value): boolean => sameShape(value.spec.shape, result?.spec.shape ?? []);
    if (of < 0 || left === right || made.has(t.root) || t.spec.dtype !== 'f32' || !isResult(of === left ? a : b))
      return [];
    const form = formOf({ ofLeft: of === left, transposeA, transposeB });
    const rank = Math.min(...t.spec.shape);
    if (form === undefined || t.spec.shape.length !== 2 || rank > maxRank || rank % 4 !== 0) return [];
    const operands = [t, ...(scaled && scale !== undefined ? [scale] : [])];
    return [{ instruction, part: { of, ...form, scaled }, operands }];
  });
}

function formOf(options: {
  readonly ofLeft: boolean;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}): Pick<ProductPart, 'over' | 'transposed'> | undefined {
  const { ofLeft, transposeA, transposeB } = options;
  if (ofLeft && !transposeA) return { over: 'columns', transposed: transposeB };
  return transposeA && !transposeB ? { over: 'rows', transposed: ofLeft } : undefined;
}

function takeParts(
  product: Instruction,
  found: readonly Reader[],
  { program, spec }: { program: Program; spec: BackendSpec },
) {
  const readers = found.map(({ instruction }) => instruction);
  const rest: Program = { ...program, instructions: program.instructions.filter((each) => !readers.includes(each)) };
  const uses = countUses(rest);
  const kept = written(product, (output) => (uses.get(output.root) ?? 0) > 0);
  const attrs: MatmulAttrs = { ...kept.attrs, parts: found.map(({ part }) => part) };
  const inputs = [...product.inputs, ...found.flatMap(({ operands }) => operands)];
  const specs = resultSpecs(
    inputs.map((input) => input.spec),
    attrs,
  );
  const sums = specs.slice(kept.outputs.length).map((each) => new Value(each));
  const fused = { ...product, attrs, inputs, outputs: [...kept.outputs, ...sums] };
  const last = lastReads(rest);
  if (!bindProduct(fused, spec, ({ root }) => last.get(root) === product)) return;
  Object.assign(product, fused);
  const reductions = readers.flatMap((reader, at) => asReduction(reader, sums[at]));
  program.instructions = program.instructions.flatMap((each) =>
    each === product ? [product, ...reductions] : readers.includes(each) ? [] : [each],
  );
}

/** The product without the results that nobody reads any more. */
function written(product: Instruction, isRead: (value: Value) => boolean): { attrs: MatmulAttrs; outputs: Value[] } {
  const attrs = product.attrs as MatmulAttrs;
  const { epilogue } = attrs;
  const [first, ...others] = product.outputs;
  const more = others.some(isRead);
  if (first === undefined || epilogue === undefined) return { attrs, outputs: product.outputs };
  const narrow: MatmulAttrs =
    epilogue.form === 'swiglu'
      ? { ...attrs, epilogue: { ...epilogue, keeps: epilogue.keeps && more } }
      : {
          ...attrs,
          epilogue: { form: epilogue.form, ...(others[1] !== undefined && isRead(others[1]) && { forward: true }) },
        };
  return { attrs: narrow, outputs: product.outputs.slice(0, resultsOf(narrow)) };
}

/** The instruction that made a thin product, as the one that adds up its parts. */
function asReduction({ outputs, scope }: Instruction, sums: Value | undefined): Instruction[] {
  const [output] = outputs;
  if (sums === undefined || output === undefined) return [];
  const [length = 1] = sums.spec.shape;
  const inner = sums.bytes / 4 / length;
  const attrs: ReduceAttrs = { kind: 'sum', outer: 1, length, inner, shape: output.spec.shape };
  return [{ op: reduce, attrs, inputs: [sums], outputs, scope }];
}
